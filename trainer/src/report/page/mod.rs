//! The page.
//!
//! Enters: everything that is to be shown. Leaves: HTML that needs no other file. Each section is a
//! function, which returns nothing where there is nothing to show; whatever comes from a file is
//! escaped where it is spliced in.

mod calibration;
pub mod clips;
mod confusion;
pub mod curves;
mod numbers;
mod recipe;
pub mod rivals;
mod summary;

use super::Report;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
/// Sorts tables after a click on a heading. Neither this nor the style sheet has `&` or `<`, so
/// that the page is well-formed as XML, too.
const SCRIPT: &str = include_str!("sort.js");

/// A part of the page with its heading.
pub struct Section {
    pub id: &'static str,
    pub title: &'static str,
    pub body: Markup,
}

/// The whole page.
pub fn page(report: &Report) -> String {
    let sections = sections(report);
    let title = report.subject.title();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · training report" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (title) }
                    p.dim { "Training report, " (crate::common::environment::now()) ", earwitness-train " (env!("CARGO_PKG_VERSION")) }
                    nav { @for section in &sections { a href=(format!("#{}", section.id)) { (section.title) } } }
                }
                main {
                    @for section in &sections {
                        section id=(section.id) { h2 { (section.title) } (section.body) }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    page.into_string()
}

/// The sections in the order in which they are read.
fn sections(report: &Report) -> Vec<Section> {
    let runs = &report.subject.runs;
    let mut sections = vec![summary::section(report)];
    sections.extend(curves::section(runs));
    if let Some(held_out) = &report.held_out {
        sections.push(confusion::confusion(held_out));
        sections.push(confusion::classes(held_out));
        sections.push(clips::section(held_out, runs));
        sections.push(calibration::calibration(held_out));
        sections.extend(calibration::det(held_out));
    }
    sections.extend(report.rivals.as_ref().map(rivals::section));
    sections.extend(recipe::recipe(runs));
    sections.push(recipe::environment(runs));
    if !report.notes.is_empty() {
        let body = html! { ul { @for note in &report.notes { li { (note) } } } };
        sections.push(Section { id: "missing", title: "What is missing", body });
    }
    sections
}
