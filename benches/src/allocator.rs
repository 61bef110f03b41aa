//! A global allocator that counts what the calling thread takes from the heap, for tests that claim
//! that this is nothing, and for `allocations`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static N_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that the thread has taken and not given back. Memory may go to another thread, so
    /// this can be negative.
    static N_BYTES: Cell<isize> = const { Cell::new(0) };
}

/// The system's allocator with counters; install it by `#[global_allocator]`.
pub struct CountingAllocator;

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has lost its counters already; nothing is measured there.
        let _ = N_ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        let _ = N_BYTES.try_with(|n| n.set(n.get() + layout.size() as isize));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = N_BYTES.try_with(|n| n.set(n.get() - layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Allocations and reallocations that the calling thread makes during `work`.
pub fn count_allocations(work: impl FnOnce()) -> usize {
    let before = N_ALLOCATIONS.get();
    work();
    N_ALLOCATIONS.get() - before
}

/// What `make` makes, and the bytes of the heap that it holds, if the calling thread has made all
/// of it.
pub fn count_bytes<T>(make: impl FnOnce() -> T) -> (T, usize) {
    let before = N_BYTES.get();
    let made = make();
    (made, usize::try_from(N_BYTES.get() - before).unwrap_or_default())
}
