//! The working memory of a convolution.

/// What [`Conv::run_with_scratch`](crate::Conv::run_with_scratch) works in. It grows to what the
/// largest convolution needs, and may serve any convolutions in turn.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    /// Where the runs of an output begin, counted from its first value.
    pub(crate) runs: Vec<usize>,
    /// Where the first value of each output lies.
    pub(crate) places: Vec<usize>,
    pub(crate) input: Arranged,
}

/// The input in the order of [`Layout::arrange`](crate::layout::Layout::arrange), in the type that
/// the kernel takes; the others stay empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arranged {
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
    pub(crate) unsigned: Vec<u8>,
    #[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
    pub(crate) signed: Vec<i8>,
    pub(crate) wide: Vec<i16>,
}
