//! A global allocator that counts the allocations of the calling thread, for tests that claim there
//! are none.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static N_ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator with a counter; install it by `#[global_allocator]`.
pub struct CountingAllocator;

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has lost its counter already; nothing is measured there.
        let _ = N_ALLOCATIONS.try_with(|n| n.set(n.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Allocations and reallocations that the calling thread makes during `work`.
pub fn count_allocations(work: impl FnOnce()) -> usize {
    let before = N_ALLOCATIONS.get();
    work();
    N_ALLOCATIONS.get() - before
}
