//! Runs groups of scenarios against each target in turn: A B A B, so that a machine that changes its speed is fair.
//!
//! A fresh cluster is formed for every group, round and subject; its formation is timed. A scenario that fails is a
//! record that says why, not the end of the suite; only an interrupt ends it.

use std::net::SocketAddr;

use super::fanout::FanoutSpec;
use super::load::LoadSpec;
use super::record::{Metric, Record};
use super::takeover::TakeoverSpec;
use crate::interrupt;
use crate::servers::{Cluster, DataRoot, Formation, Processes, Subject, Timing, leader_of};

/// Groups to run, and how often.
#[derive(Clone, Debug)]
pub struct Suite {
    /// In this order.
    pub groups: Vec<Group>,
    /// Repetitions of each group on each subject.
    pub rounds: u32,
}

/// Scenarios that share a cluster.
#[derive(Clone, Debug)]
pub struct Group {
    /// Name in the progress lines.
    pub name: String,
    /// The cluster's timing.
    pub timing: Timing,
    /// In this order.
    pub scenarios: Vec<Scenario>,
}

/// One thing to measure.
#[derive(Clone, Debug)]
pub enum Scenario {
    /// Requests.
    Load(LoadSpec),
    /// Watchers.
    Fanout(FanoutSpec),
    /// Loss of the leader.
    Takeover(TakeoverSpec),
    /// Memory of the servers after what came before in the group.
    Memory {
        /// Name in the tables.
        name: String,
    },
}

/// What is measured.
#[derive(Debug)]
pub enum Target {
    /// Clusters launched here.
    Launched {
        /// The programs, the baseline first.
        subjects: Vec<Subject>,
        /// Where their data goes.
        root: DataRoot,
    },
    /// Servers that run already.
    Attached {
        /// Their client endpoints.
        endpoints: Vec<SocketAddr>,
        /// Their processes, when known.
        processes: Processes,
    },
}

impl Target {
    /// Names of the subjects, in order.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Launched { subjects, .. } => {
                subjects.iter().map(|subject| subject.name.clone()).collect()
            }
            Self::Attached { .. } => vec![ATTACHED.to_owned()],
        }
    }
}

/// Name of servers that were not launched here.
const ATTACHED: &str = "target";

impl Suite {
    /// Runs everything; `progress` gets a line for each record.
    ///
    /// # Errors
    /// When interrupted.
    pub fn run(
        &self,
        target: &Target,
        progress: &mut dyn FnMut(&str),
    ) -> anyhow::Result<Vec<Record>> {
        let mut session = Session { records: Vec::new(), progress };
        for group in &self.groups {
            for round in 1..=self.rounds {
                match target {
                    Target::Launched { subjects, root } => {
                        for subject in subjects {
                            session.launch_and_run(group, round, subject, root);
                            interrupt::check()?;
                        }
                    }
                    Target::Attached { endpoints, processes } => {
                        session.run_group(
                            group,
                            round,
                            ATTACHED,
                            &mut Servers::Attached(endpoints, processes),
                        );
                        interrupt::check()?;
                    }
                }
            }
        }
        Ok(session.records)
    }
}

enum Servers<'target> {
    Launched(Cluster),
    Attached(&'target [SocketAddr], &'target Processes),
}

impl Servers<'_> {
    fn endpoints(&self) -> Vec<SocketAddr> {
        match self {
            Self::Launched(cluster) => cluster.endpoints(),
            Self::Attached(endpoints, _) => endpoints.to_vec(),
        }
    }

    fn processes(&self) -> Processes {
        match self {
            Self::Launched(cluster) => cluster.processes(),
            Self::Attached(_, processes) => (*processes).clone(),
        }
    }
}

struct Session<'progress> {
    records: Vec<Record>,
    progress: &'progress mut dyn FnMut(&str),
}

impl Session<'_> {
    fn launch_and_run(&mut self, group: &Group, round: u32, subject: &Subject, root: &DataRoot) {
        let name = format!("formation of 3 members, {}", group.timing);
        match Cluster::form(subject, &group.timing, root) {
            Ok((cluster, formation)) => {
                self.add(&name, &subject.name, round, Ok((formation_metrics(&formation), None)));
                self.run_group(group, round, &subject.name, &mut Servers::Launched(cluster));
            }
            Err(error) => self.add(&name, &subject.name, round, Err(error)),
        }
    }

    fn run_group(&mut self, group: &Group, round: u32, subject: &str, servers: &mut Servers<'_>) {
        let reads = group.scenarios.iter().find_map(|scenario| match scenario {
            Scenario::Load(load) if load.mix.read_percent > 0 => Some(load),
            _ => None,
        });
        if let Some(load) = reads
            && let Err(error) = load.preload(&servers.endpoints())
        {
            self.add(&load.name, subject, round, Err(error));
            return;
        }
        for scenario in &group.scenarios {
            if interrupt::requested() {
                return;
            }
            let result = run_one(scenario, servers);
            self.add(scenario.name(), subject, round, result);
        }
    }

    fn add(&mut self, scenario: &str, subject: &str, round: u32, result: Outcome) {
        let (metrics, invalid) = match result {
            Ok((metrics, invalid)) => (metrics, invalid),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        let shown: Vec<String> = metrics
            .iter()
            .take(4)
            .map(|metric| format!("{} {:.2} {}", metric.name, metric.value, metric.unit))
            .collect();
        let verdict = invalid.as_ref().map(|why| format!("  INVALID: {why}")).unwrap_or_default();
        (self.progress)(&format!(
            "{subject} round {round}: {scenario}: {}{verdict}",
            shown.join(", ")
        ));
        let (scenario, subject) = (scenario.to_owned(), subject.to_owned());
        self.records.push(Record { scenario, subject, round, metrics, invalid });
    }
}

/// Metrics, and why they prove nothing, if so.
type Outcome = anyhow::Result<(Vec<Metric>, Option<String>)>;

impl Scenario {
    fn name(&self) -> &str {
        match self {
            Self::Load(load) => &load.name,
            Self::Fanout(fanout) => &fanout.name,
            Self::Takeover(takeover) => &takeover.name,
            Self::Memory { name } => name,
        }
    }
}

fn run_one(scenario: &Scenario, servers: &mut Servers<'_>) -> Outcome {
    let endpoints = servers.endpoints();
    let processes = servers.processes();
    match scenario {
        Scenario::Load(load) => {
            // What the disk still owes to scenarios and clusters before this one is not for this one to pay.
            rustix::fs::sync();
            let tally = load.run(&endpoints, &processes)?;
            Ok((load.metrics(&tally), tally.invalid()))
        }
        Scenario::Fanout(fanout) => fanout.run(&endpoints, &processes),
        Scenario::Takeover(takeover) => match servers {
            Servers::Launched(cluster) => Ok((takeover.run(cluster)?, None)),
            Servers::Attached(..) => {
                anyhow::bail!(
                    "a takeover needs a launched cluster: no server is struck down that we did not start"
                )
            }
        },
        Scenario::Memory { .. } => memory(&processes, &endpoints),
    }
}

fn memory(processes: &Processes, endpoints: &[SocketAddr]) -> Outcome {
    const MIB: f64 = 1024.0 * 1024.0;
    let (Some(resident), Some(peak)) = (processes.resident(), processes.peak_resident()) else {
        anyhow::bail!("the servers' processes are not known; name them with --pid");
    };
    // Asked only to make sure that the cluster whose memory this is still serves.
    leader_of(endpoints)?;
    Ok((
        vec![
            Metric::lower("resident, sum of members", "MiB", resident as f64 / MIB),
            Metric::lower("peak, sum of members", "MiB", peak as f64 / MIB),
        ],
        None,
    ))
}

fn formation_metrics(formation: &Formation) -> Vec<Metric> {
    let ms = |span: std::time::Duration| span.as_secs_f64() * 1e3;
    vec![
        Metric::lower("all healthy and first write", "ms", ms(formation.total())),
        Metric::lower("all healthy", "ms", ms(formation.healthy)),
        Metric::lower("first write", "ms", ms(formation.first_write)),
    ]
}
