//! What the code under test allocates: an allocator that counts for each thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The largest piece of memory a datagram may cost, in bytes.
pub const LIMIT: usize = 64 * 1024;

struct Counting;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn note(size: usize, freed: usize) {
    // A thread that ends may free after its counters are gone.
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
    let _ = LIVE.try_with(|live| live.set(live.get() + size.cast_signed() - freed.cast_signed()));
}

// SAFETY: everything is passed on to the system's allocator as it came; counting allocates nothing, because the
// counters are constants without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size, layout.size());
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(memory, layout, size) }
    }
}

/// Runs `action` and fails if it allocates a piece of more than [`LIMIT`] bytes.
pub fn limited<T>(action: impl FnOnce() -> T) -> T {
    LARGEST.set(0);
    let result = action();
    let largest = LARGEST.get();
    assert!(largest <= LIMIT, "{largest} bytes in one piece");
    result
}

/// Bytes this thread has allocated and not freed.
pub fn live() -> isize {
    LIVE.get()
}
