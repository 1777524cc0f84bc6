//! From the flags to a decision how to start: the list of members comes from a flag, or is learned first.
//!
//! Invariant: a member that has a log looks nothing up. A list that was learned is on the disk before anyone hears of it; it is
//! given up for another one only as long as no cluster has formed, and never before the binding that belongs to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use quorate_core::bootstrap::{Disk, Listed};
use quorate_core::discovery::{Learned, fingerprint, member};
use quorate_transport::http_client::Connector;

use super::reporting::Discovering;
use super::{FormationFile, RunError, bound, disk, plan, proxying};
use crate::bootstrap::learn::{LearnError, Source, changed, learn};
use crate::bootstrap::learned_file::LearnedFile;
use crate::bootstrap::records::Records;
use crate::bootstrap::registry::Registry;
use crate::bootstrap::token_api::TokenApi;
use crate::bootstrap::{self, Forming, Plan, Started};
use crate::config::{Config, Fallback, InitialClusterState, MemberSource};
use crate::storage::data_dir::DataDir;

/// What a process becomes.
pub(super) enum Begun {
    /// A member that starts as was decided.
    Member(Box<Plan>, Started),
    /// A proxy of the members.
    Proxy(proxying::Beginning),
}

/// Finds out who the members are and how this one starts.
pub(super) async fn begin(
    config: &Config,
    data_dir: &DataDir,
    file: &FormationFile,
    forming: &Arc<Forming>,
    connector: &dyn Connector,
    service: &Discovering,
) -> Result<Begun, RunError> {
    if config.discovery.source == MemberSource::Flag {
        return decide(plan(config, data_dir, file)?, file, forming, connector).await;
    }
    let disk = disk(data_dir);
    let learned_file = LearnedFile::open(data_dir.path());
    if disk != Disk::Fresh {
        let source = fingerprint(&source_text(config));
        if learned_file.as_ref().is_ok_and(|file| file.takes_reports(&source)) {
            service.reports.are_taken();
        }
        let plan = restarting(config, disk, file, learned_file);
        return decide(plan, file, forming, connector).await;
    }
    refuse_contradiction(config)?;
    let learned_file = learned_file?;
    learned_file.of_source(&fingerprint(&source_text(config)));
    learn_and_decide(config, file, forming, learned_file, connector, service).await
}

async fn decide(
    plan: Plan,
    file: &FormationFile,
    forming: &Arc<Forming>,
    connector: &dyn Connector,
) -> Result<Begun, RunError> {
    forming.learned(&plan);
    let started = bootstrap::run(&plan, forming, connector, |bound| file.bind(bound)).await?;
    Ok(Begun::Member(Box::new(plan), started))
}

/// A member with a log: what it learned once only names the founders, should the first entry still be missing.
fn restarting(
    config: &Config,
    disk: Disk,
    file: &FormationFile,
    learned_file: std::io::Result<LearnedFile>,
) -> Plan {
    let token = token(config);
    let learned = learned_file.and_then(|learned| learned.learned(&token));
    let learned = learned.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        None
    });
    let alone = || Learned { own: as_advertised(config), listed: Vec::new(), token };
    Plan::of(config, disk, learned.unwrap_or_else(alone), file.incarnation(), bound(file))
}

async fn learn_and_decide(
    config: &Config,
    file: &FormationFile,
    forming: &Arc<Forming>,
    learned_file: LearnedFile,
    connector: &dyn Connector,
    service: &Discovering,
) -> Result<Begun, RunError> {
    let may_proxy = config.discovery.fallback == Fallback::Proxy;
    let peer_urls = learned_file.proxied();
    if may_proxy && !peer_urls.is_empty() {
        return Ok(Begun::Proxy(proxying::Beginning { peer_urls, file: learned_file }));
    }
    let mut source = source(config, &learned_file, service);
    let known = match learned_file.learned(&token(config))? {
        Some(learned) => Ok(learned),
        None => learn(&mut source, config.discovery.timeout).await,
    };
    let mut learned = match known {
        Ok(learned) => learned,
        Err(LearnError::Full(members)) if may_proxy => {
            drop(source);
            let peer_urls: Vec<String> =
                members.into_iter().flat_map(|member| member.peer_urls).collect();
            learned_file.proxies(&peer_urls)?;
            return Ok(Begun::Proxy(proxying::Beginning { peer_urls, file: learned_file }));
        }
        Err(error) => return Err(bootstrap::BootstrapError::from(error).into()),
    };
    learned_file.keep(&learned)?;
    loop {
        let names: Vec<&str> = learned.listed.iter().map(|member| &*member.name).collect();
        tracing::info!(members = names.join(", "), "the members are known");
        let incarnation = file.incarnation();
        let plan = Plan::of(config, Disk::Fresh, learned.clone(), incarnation, bound(file));
        forming.learned(&plan);
        service.reports.all_known(&learned.listed);
        tokio::select! {
            started = bootstrap::run(&plan, forming, connector, |bound| file.bind(bound)) => {
                return Ok(Begun::Member(Box::new(plan), started?));
            }
            now = changed(&mut source, &learned) => {
                tracing::warn!("the list of members has changed before the cluster was formed");
                // Unbound first: a binding without its list would look like one to the new list.
                file.bind(&BTreeMap::new())?;
                learned_file.keep(&now)?;
                learned = now;
            }
        }
    }
}

fn source<'a>(
    config: &'a Config,
    learned_file: &'a LearnedFile,
    service: &'a Discovering,
) -> Source<'a> {
    let (own, reports) = (as_advertised(config), service.reports.clone());
    let connector = &*service.connector;
    let advertised = &config.initial_advertise_peer_urls;
    match &config.discovery.source {
        MemberSource::Url(url) => {
            Source::Registry(Registry::new(url, own, learned_file, connector, reports))
        }
        MemberSource::Token(token) => {
            Source::Token(TokenApi::new(token, own, learned_file, connector, reports))
        }
        MemberSource::Srv(names) => Source::Records(Records::new(
            names.clone(),
            config.discovery.dns.clone(),
            advertised.clone(),
            token(config),
        )),
        MemberSource::Flag => unreachable!("a list from a flag is not learned"),
    }
}

/// This member as its own flags describe it.
pub(super) fn as_advertised(config: &Config) -> Listed {
    let urls = config.initial_advertise_peer_urls.iter().map(ToString::to_string).collect();
    member(&config.name, urls, &token(config))
}

/// The salt of the members' IDs; as in etcd, the discovery URL to the letter.
fn token(config: &Config) -> String {
    match &config.discovery.source {
        MemberSource::Url(url) => url.text().to_owned(),
        MemberSource::Token(token) => token.secret.clone(),
        MemberSource::Flag | MemberSource::Srv(_) => config.initial_cluster_token.clone(),
    }
}

/// What a list that was learned depends on.
fn source_text(config: &Config) -> String {
    let token = token(config);
    match &config.discovery.source {
        MemberSource::Flag => String::new(),
        MemberSource::Url(_) => format!("url {token}"),
        MemberSource::Token(_) => format!("token {token}"),
        MemberSource::Srv(names) => format!("srv {} {token}", names.name("etcd-server")),
    }
}

fn refuse_contradiction(config: &Config) -> Result<(), RunError> {
    let joins = config.initial_cluster_state == InitialClusterState::Existing;
    if joins && matches!(config.discovery.source, MemberSource::Url(_) | MemberSource::Token(_)) {
        return Err(RunError::Cluster(
            "discovery URL should not be set when joining existing initial cluster: a token is for forming a cluster once. \
             List the members with --initial-cluster, as GET /v2/members shows them"
                .to_owned(),
        ));
    }
    Ok(())
}
