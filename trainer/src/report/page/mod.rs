//! The page.
//!
//! Enters: everything that is to be shown. Leaves: HTML that needs no other file. Sections are functions, each in a file of its own,
//! that leave nothing where there is nothing to show; whatever comes from a file is escaped where it is spliced in.

mod calibration;
mod classes;
mod clips;
mod confusion;
mod curves;
mod det;
mod numbers;
mod recipe;
mod rivals;
mod summary;

use super::Report;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("style.css");
/// Tables are sorted by a click on a heading; without it, they stay as they are.
///
/// Neither this nor the style sheet has `&` or `<`, so that the page is well-formed as XML, too.
const SCRIPT: &str = include_str!("sort.js");

/// A part of the page with its heading.
pub struct Section {
    /// Where links lead to.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// What is below the heading.
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

/// The sections in the order in which they are read; a further one is a further line.
fn sections(report: &Report) -> Vec<Section> {
    let subject = &report.subject;
    let mut sections = vec![summary::section(report), curves::section(subject)];
    if let Some(held_out) = &report.held_out {
        sections.push(Some(confusion::section(held_out)));
        sections.push(Some(classes::section(held_out)));
        sections.push(Some(clips::section(held_out, subject)));
        sections.push(Some(calibration::section(held_out)));
        sections.push(det::section(held_out));
    }
    sections.push(report.rivals.as_ref().map(rivals::section));
    sections.push(recipe::section(subject));
    sections.push(recipe::environment(subject));
    sections.push(notes(&report.notes));
    sections.into_iter().flatten().collect()
}

fn notes(notes: &[String]) -> Option<Section> {
    let body = html! { ul { @for note in notes { li { (note) } } } };
    (!notes.is_empty()).then_some(Section { id: "missing", title: "What is not here", body })
}
