//! Parses the command line, runs it, and turns the result into an exit code.

fn main() {
    give_memory_back();
    cdc::cli::main()
}

/// Makes the C library give large buffers back to the system as soon as they are freed, and share what is small
/// between threads. By default it learns from the first freed buffer of 16 MiB to keep all later ones, and keeps a
/// heap per thread, so that a process would hold twice what `memory` allows.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn give_memory_back() {
    const LARGE: libc::c_int = 1 << 20;
    const HEAPS: libc::c_int = 2;
    for (setting, value) in [
        (libc::M_ARENA_MAX, HEAPS),
        (libc::M_MMAP_THRESHOLD, LARGE),
        (libc::M_TRIM_THRESHOLD, LARGE),
    ] {
        // SAFETY: no other thread runs yet, and these settings take any positive number. One that is refused leaves
        // the default.
        unsafe { libc::mallopt(setting, value) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_memory_back() {}
