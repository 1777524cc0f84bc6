//! The process, as the operating system sees it.

use super::Section;
use crate::metrics::definition::Metric;

/// See the module.
pub const SECTION: Section = Section {
    title: "Process",
    metrics: &[
        &FD_USED,
        &FD_LIMIT,
        &CPU_SECONDS,
        &OPEN_FDS,
        &MAX_FDS,
        &VIRTUAL_BYTES,
        &RESIDENT_BYTES,
        &START_TIME,
        &THREADS,
    ],
};

/// As etcd names it.
pub const FD_USED: Metric = Metric::gauge("os_fd_used", &[], "Open file descriptors.");
/// As etcd names it.
pub const FD_LIMIT: Metric =
    Metric::gauge("os_fd_limit", &[], "How many file descriptors may be open.");
/// From the Prometheus library, like all below; the texts are its own.
pub const CPU_SECONDS: Metric = Metric::counter(
    "process_cpu_seconds_total",
    &[],
    "Total user and system CPU time spent in seconds.",
)
.noted("Whole seconds: use a range of some minutes.");
/// See [`CPU_SECONDS`].
pub const OPEN_FDS: Metric =
    Metric::gauge("process_open_fds", &[], "Number of open file descriptors.");
/// See [`CPU_SECONDS`].
pub const MAX_FDS: Metric =
    Metric::gauge("process_max_fds", &[], "Maximum number of open file descriptors.");
/// See [`CPU_SECONDS`].
pub const VIRTUAL_BYTES: Metric =
    Metric::gauge("process_virtual_memory_bytes", &[], "Virtual memory size in bytes.");
/// See [`CPU_SECONDS`].
pub const RESIDENT_BYTES: Metric =
    Metric::gauge("process_resident_memory_bytes", &[], "Resident memory size in bytes.");
/// See [`CPU_SECONDS`].
pub const START_TIME: Metric = Metric::gauge(
    "process_start_time_seconds",
    &[],
    "Start time of the process since unix epoch in seconds.",
);
/// See [`CPU_SECONDS`].
pub const THREADS: Metric =
    Metric::gauge("process_threads", &[], "Number of OS threads in the process.");
