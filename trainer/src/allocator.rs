//! Keeps the memory of a training step for the next one.
//!
//! The activations of a step are freed at its end. By default glibc then gives the top of its heap,
//! and every large piece at once, back to the system, and the next step takes them again page by
//! page, cleared by the kernel: a tenth of the time that a step takes on a CPU. Belongs to
//! programs: a library has no say in its process's allocator.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    /// `malloc.h`: the free top of the heap that is given back; -1 for never.
    pub(super) const M_TRIM_THRESHOLD: c_int = -1;
    /// `malloc.h`: the size from which pieces are mapped on their own, and unmapped when freed.
    pub(super) const M_MMAP_THRESHOLD: c_int = -3;

    // SAFETY: as in malloc.h; it takes numbers, and answers 0 to those that it does not know.
    unsafe extern "C" {
        pub(super) safe fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
}

/// Makes freed memory stay with the process. To be called first, before there are threads. Does
/// nothing without glibc.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        glibc::mallopt(glibc::M_TRIM_THRESHOLD, -1);
        glibc::mallopt(glibc::M_MMAP_THRESHOLD, 1 << 30);
    }
}
