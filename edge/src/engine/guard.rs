//! Panics of the inference library: work of its enters, its result or an error leaves. Runs on the
//! thread that calls it.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use tract_onnx::tract_core::internal::{TractResult, format_err};

/// The inference library asserts here and there on what it finds in a file; to us that is a bad
/// file like any other.
pub(super) fn guard<T>(read: impl FnOnce() -> TractResult<T>) -> TractResult<T> {
    be_silent_when_guarded();
    let outer = GUARDED.replace(true);
    let result = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(outer);
    result.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        // Where backtraces are asked for, the library's errors carry theirs.
        let what = what.and_then(|what| what.split("\n\n").next());
        Err(format_err!("{}", what.unwrap_or("unknown reason")))
    })
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// A panic that [`guard`] makes an error of is not to be reported as one.
fn be_silent_when_guarded() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !GUARDED.get() {
                report(info);
            }
        }));
    });
}
