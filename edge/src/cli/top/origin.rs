//! Where what is shown comes from: sources of its own, or a running daemon.

use edge::Result;

use super::view::View;

/// Where what is shown comes from.
pub(super) trait Origin {
    /// Takes what has come since the last time.
    fn collect(&mut self, view: &mut View);

    /// Looks at the next source.
    fn next(&mut self);

    /// Goes on by the thresholds of the view, where it can.
    fn adjust(&mut self, view: &View);

    /// What there is to show about the source on the screen.
    fn info(&self, view: &View) -> Info;

    /// Ends.
    ///
    /// # Errors
    ///
    /// What went wrong with a source.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// What there is to show about the source on the screen.
pub(super) struct Info {
    /// Its name, and which one of how many.
    pub(super) title: String,
    /// Figures.
    pub(super) health: String,
    /// What is wrong, or could be better.
    pub(super) complaint: Option<String>,
    /// What is to be known of the labels.
    pub(super) note: Option<&'static str>,
}

/// Figures of a source in a line.
pub(super) fn figures(load: f64, us_per_pulse: Option<f64>, n_gaps: u64, n_dropped: u64, n_clipped: u64) -> String {
    let us = us_per_pulse.map_or(String::new(), |us| format!(" ({us:.0} us per pulse)"));
    format!("load {:.1} %{us}, gaps {n_gaps}, dropped {n_dropped}, clipped {n_clipped}", load * 100.0)
}
