//! Certificates for tests, made by `openssl` as an operator makes them: authorities, good and bad certificates, revocation.
//!
//! Everything lies in one folder as PEM files, to be named in flags of servers and clients.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::{MissingProgram, from_variable_or_path};

/// A date long ago, and one far away, as `openssl ca` reads them.
pub const LONG_AGO: &str = "20200101000000Z";
/// See [`LONG_AGO`].
pub const NOT_SO_LONG_AGO: &str = "20210101000000Z";
/// See [`LONG_AGO`].
pub const FAR_AWAY: &str = "20491231235959Z";

/// An authority that signs and revokes certificates. Not for use from several threads.
#[derive(Clone, Debug)]
pub struct Authority {
    folder: PathBuf,
    /// Its own certificate, to be trusted.
    pub certificate: PathBuf,
}

/// A certificate and its key, as files.
#[derive(Clone, Debug)]
pub struct Papers {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key, unencrypted.
    pub key: PathBuf,
}

/// What a certificate is to say.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// The subject, as `openssl` writes it: `/CN=alice`.
    pub subject: &'a str,
    /// The names it is valid for, as `openssl` writes them: `DNS:localhost,IP:127.0.0.1`. Empty for none.
    pub names: &'a str,
    /// The extended key usage, as `openssl` writes it; empty for none.
    pub usage: &'a str,
    /// When it begins to be valid.
    pub from: &'a str,
    /// When it ends to be valid.
    pub until: &'a str,
}

impl Default for Order<'_> {
    fn default() -> Self {
        Self {
            subject: "/CN=somebody",
            names: "DNS:localhost,IP:127.0.0.1",
            usage: "serverAuth,clientAuth",
            from: LONG_AGO,
            until: FAR_AWAY,
        }
    }
}

impl Authority {
    /// Founds an authority in a new folder `name` below `folder`. Panics when `openssl` refuses.
    #[track_caller]
    pub fn found(folder: &Path, name: &str) -> Self {
        Self::found_until(folder, name, FAR_AWAY)
    }

    /// Founds one whose own certificate ends to be valid at a certain time.
    #[track_caller]
    pub fn found_until(folder: &Path, name: &str, until: &str) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(folder.join("issued")).unwrap_or_else(|error| panic!("{error}"));
        let authority = Self { certificate: folder.join("ca.pem"), folder };
        authority.write("index.txt", "");
        authority.write("serial", "1000\n");
        authority.write("crlnumber", "01\n");
        authority.write("openssl.cnf", &configuration(&authority.folder));
        authority.request("ca", &format!("/CN={name}"));
        let dates = ["-startdate", LONG_AGO, "-enddate", until];
        let own = ["-selfsign", "-extensions", "of_authority", "-in", "ca.csr", "-out", "ca.pem"];
        authority.openssl("ca", &[&dates[..], &own[..]].concat());
        authority
    }

    /// Signs a certificate, which is kept as `<file>.pem` and `<file>.key`.
    #[track_caller]
    pub fn sign(&self, file: &str, order: &Order<'_>) -> Papers {
        self.request(file, order.subject);
        let mut extensions = String::from("basicConstraints=CA:FALSE\n");
        if !order.names.is_empty() {
            extensions.push_str(&format!("subjectAltName={}\n", order.names));
        }
        if !order.usage.is_empty() {
            extensions.push_str(&format!("extendedKeyUsage={}\n", order.usage));
        }
        self.write("extensions", &extensions);
        let (request, certificate) = (format!("{file}.csr"), format!("{file}.pem"));
        let files = ["-extfile", "extensions", "-in", &request, "-out", &certificate];
        let dates = ["-startdate", order.from, "-enddate", order.until];
        self.openssl("ca", &[&files[..], &dates[..]].concat());
        Papers {
            certificate: self.folder.join(certificate),
            key: self.folder.join(format!("{file}.key")),
        }
    }

    /// Revokes a certificate that it signed; see [`Authority::revocations`].
    #[track_caller]
    pub fn revoke(&self, papers: &Papers) {
        let certificate = papers.certificate.display().to_string();
        self.openssl("ca", &["-revoke", &certificate]);
    }

    /// Writes its list of revoked certificates to `<file>` in PEM; the next one is due at a certain time.
    #[track_caller]
    pub fn revocations(&self, file: &str, until: &str) -> PathBuf {
        let dates = ["-crl_lastupdate", LONG_AGO, "-crl_nextupdate", until];
        self.openssl("ca", &[&["-gencrl", "-out", file][..], &dates[..]].concat());
        self.folder.join(file)
    }

    fn request(&self, file: &str, subject: &str) {
        let (key, request) = (format!("{file}.key"), format!("{file}.csr"));
        let kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let files = ["-keyout", &key, "-out", &request, "-subj", subject];
        self.openssl("req", &[&kind[..], &files[..]].concat());
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    #[track_caller]
    fn openssl(&self, command: &str, arguments: &[&str]) {
        let openssl = openssl().unwrap_or_else(|missing| panic!("{missing}"));
        let batch: &[&str] = if command == "ca" { &["-batch", "-notext"] } else { &[] };
        let output = Command::new(openssl)
            .current_dir(&self.folder)
            .args([command, "-config", "openssl.cnf"])
            .args(batch)
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("openssl: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {command} {arguments:?}: {said}");
    }
}

/// The `openssl` program, from `OPENSSL_BIN` or the `PATH`.
pub fn openssl() -> Result<PathBuf, MissingProgram> {
    from_variable_or_path("OPENSSL_BIN", "openssl", "install it (Debian: openssl)")
}

/// The `curl` program, from `CURL_BIN` or the `PATH`.
pub fn curl() -> Result<PathBuf, MissingProgram> {
    from_variable_or_path("CURL_BIN", "curl", "install it (Debian: curl)")
}

/// Whether a test that needs `openssl` and `curl` must be left out because one is not installed; says so. Panics in that
/// case when `QUORATE_REQUIRE_INTEROP` is set.
pub fn skip_without_openssl() -> bool {
    let Err(missing) = openssl().and_then(|_| curl()) else { return false };
    assert!(
        std::env::var_os("QUORATE_REQUIRE_INTEROP").is_none(),
        "QUORATE_REQUIRE_INTEROP is set, but {missing}"
    );
    eprintln!("skipped: {missing}");
    true
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[ca]\n\
         default_ca = authority\n\
         [authority]\n\
         database = {folder}/index.txt\n\
         serial = {folder}/serial\n\
         crlnumber = {folder}/crlnumber\n\
         new_certs_dir = {folder}/issued\n\
         certificate = {folder}/ca.pem\n\
         private_key = {folder}/ca.key\n\
         default_md = sha256\n\
         policy = anything\n\
         unique_subject = no\n\
         crl_extensions = of_list\n\
         [anything]\n\
         commonName = optional\n\
         organizationName = optional\n\
         [of_list]\n\
         authorityKeyIdentifier = keyid:always\n\
         [of_authority]\n\
         basicConstraints = critical,CA:TRUE\n\
         keyUsage = critical,keyCertSign,cRLSign\n\
         subjectKeyIdentifier = hash\n\
         [req]\n\
         distinguished_name = name\n\
         [name]\n"
    )
}
