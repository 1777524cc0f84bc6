//! The flags of etcd's v3 store, its gRPC server and its experiments: nothing here for them to act on.

use super::super::value::Kind;
use super::{Flag, Section, fixed, ignored};

pub(super) const SECTION: Section = Section {
    title: "Accepted without effect",
    about: "Flags of etcd's that have nothing to act on here. Giving one is logged as a warning.",
    flags: FLAGS,
};

const V3: &str = "it belongs to etcd's v3 store, which is not part of this server";
const GRPC: &str = "it belongs to etcd's gRPC server, which is not part of this server";
const V3_AUTH: &str = "it belongs to etcd's v3 users and tokens, which are not part of this server";
const PROXY: &str = "it only adds to --proxy";
const DIRECT: &str = "elections need no help at a start";
const CHECKSUMS: &str = "what is stored is checked whenever it is read";

const FLAGS: &[Flag] = &[
    ignored("initial-election-tick-advance", Kind::Bool, "true", DIRECT),
    fixed("unsafe-no-fsync", "false", "false", "a write is answered only after it is on the disk"),
    ignored("quota-backend-bytes", Kind::Integer, "0", V3),
    ignored("backend-batch-interval", Kind::Duration, "", V3),
    ignored("backend-batch-limit", Kind::Integer, "0", V3),
    ignored("max-txn-ops", Kind::Count, "128", V3),
    ignored("max-request-bytes", Kind::Count, "1572864", "it limits v3 requests only, in etcd too"),
    ignored("max-concurrent-streams", Kind::Count, "4294967295", GRPC),
    ignored("grpc-keepalive-min-time", Kind::Duration, "5s", GRPC),
    ignored("grpc-keepalive-interval", Kind::Duration, "2h", GRPC),
    ignored("grpc-keepalive-timeout", Kind::Duration, "20s", GRPC),
    ignored("enable-grpc-gateway", Kind::Bool, "true", GRPC),
    ignored("auto-compaction-retention", Kind::Text, "0", V3),
    ignored("auto-compaction-mode", Kind::Text, "periodic", V3),
    ignored("auth-token", Kind::Text, "simple", V3_AUTH),
    ignored("auth-token-ttl", Kind::Count, "300", V3_AUTH),
    ignored("bcrypt-cost", Kind::Count, "10", V3_AUTH),
    ignored("proxy-failure-wait", Kind::Count, "5000", PROXY),
    ignored("proxy-refresh-interval", Kind::Count, "30000", PROXY),
    ignored("proxy-dial-timeout", Kind::Count, "1000", PROXY),
    ignored("proxy-write-timeout", Kind::Count, "5000", PROXY),
    ignored("proxy-read-timeout", Kind::Count, "0", PROXY),
    ignored("experimental-initial-corrupt-check", Kind::Bool, "false", CHECKSUMS),
    ignored("experimental-corrupt-check-time", Kind::Duration, "0s", CHECKSUMS),
    ignored("experimental-enable-v2v3", Kind::Text, "", V3),
    ignored("experimental-backend-bbolt-freelist-type", Kind::Text, "array", V3),
    ignored("experimental-enable-lease-checkpoint", Kind::Bool, "false", V3),
    ignored("experimental-enable-lease-checkpoint-persist", Kind::Bool, "false", V3),
    ignored("experimental-compaction-batch-limit", Kind::Integer, "1000", V3),
    ignored("experimental-watch-progress-notify-interval", Kind::Duration, "10m", V3),
    ignored("experimental-warning-apply-duration", Kind::Duration, "100ms", V3),
];
