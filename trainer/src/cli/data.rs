//! Command `data`.

use crate::chain::check::{Checked, RecipeReport, check};
use crate::common::json;
use crate::data::check::Part;
use crate::error::{Error, Result};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Arguments of `data`.
#[derive(Debug, Args)]
pub struct DataArgs {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Open every data set and checkpoint of a recipe without training, and list what is missing or
    /// wrong.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// Recipe, a TOML file; the recipes of its fused teachers are checked as well.
    recipe: PathBuf,
    /// Folder of the data sets, instead of EARWITNESS_DATA and the recipe's.
    #[arg(long)]
    data_root: Option<PathBuf>,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

/// Says what is there.
///
/// # Errors
///
/// If anything is missing or wrong.
pub fn data(args: &DataArgs) -> Result<()> {
    let DataCommand::Check(args) = &args.command;
    let checked = check(&args.recipe, args.data_root.as_deref());
    if args.json {
        json::print(&checked)?;
    } else {
        print!("{}", text(&checked));
    }
    match checked.problems.len() {
        0 => Ok(()),
        1 => Err(Error::Usage("1 problem".to_owned())),
        n => Err(Error::Usage(format!("{n} problems"))),
    }
}

fn text(checked: &Checked) -> String {
    let mut text: Vec<String> = checked.recipes.iter().map(recipe).collect();
    if !checked.problems.is_empty() {
        text.push(checked.problems.iter().map(|problem| format!("{problem}\n")).collect());
    }
    text.join("\n")
}

fn recipe(report: &RecipeReport) -> String {
    let mut text = format!("recipe  {}\ndata    {}\n\n", report.recipe.display(), report.data_root.display());
    let head = ["set", "kind", "part", "segments", "recordings", "hours", "classes", "folds"].map(str::to_owned);
    let mut rows = vec![head];
    let mut absent = String::new();
    for set in &report.sets {
        if set.parts.is_empty() {
            rows.push([&*set.name, set.kind, "cannot be opened", "", "", "", "", ""].map(str::to_owned));
        }
        for (i, part) in set.parts.iter().enumerate() {
            let once = |text: &str| if i == 0 { text.to_owned() } else { String::new() };
            let Part { name, segments, recordings, hours, folds, without_segment } = part;
            let n_classes = set.classes.len() - without_segment.len();
            let has_classes = !set.classes.is_empty() && ["clips", "train", "validation"].contains(name);
            let classes = match (has_classes, without_segment.len()) {
                (false, _) => "-".to_owned(),
                (true, 0) => n_classes.to_string(),
                (true, _) => format!("{n_classes} of {}", set.classes.len()),
            };
            let folds: Vec<String> = folds.iter().map(u32::to_string).collect();
            let folds = if folds.is_empty() { "-".to_owned() } else { folds.join(" ") };
            rows.push([
                once(&set.name),
                once(set.kind),
                (*name).to_owned(),
                segments.to_string(),
                recordings.to_string(),
                format!("{hours:.2}"),
                classes,
                folds,
            ]);
            if !without_segment.is_empty() {
                absent += &format!("{}, {name}: no segment of {}\n", set.name, without_segment.join(", "));
            }
        }
    }
    text += &aligned(&rows);
    if !absent.is_empty() {
        text += &format!("\n{absent}");
    }
    if !report.checkpoints.is_empty() {
        let row = |c: &crate::chain::check::CheckpointReport| {
            let state = if c.found { "found" } else { "missing" };
            [c.key.clone(), state.to_owned(), c.path.display().to_string()]
        };
        text += &format!("\n{}", aligned(&report.checkpoints.iter().map(row).collect::<Vec<_>>()));
    }
    text
}

/// Columns of equal width, two spaces apart; numbers to the right.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let is_number = |column: usize| {
        let mut below = rows.iter().skip(1).map(|row| &row[column]).filter(|cell| !cell.is_empty()).peekable();
        below.peek().is_some() && below.all(|cell| cell.parse::<f64>().is_ok())
    };
    let numbers: [bool; N] = std::array::from_fn(is_number);
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = widths[column];
            if numbers[column] { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::aligned;

    #[test]
    fn numbers_stand_to_the_right() {
        let rows = [["set", "hours"], ["a", "1.00"], ["longer", "12.50"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "set     hours\na        1.00\nlonger  12.50\n");
    }
}
