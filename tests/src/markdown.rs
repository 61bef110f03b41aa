//! Reads Markdown as far as the checks of the documentation need it: fenced blocks, links and
//! headings, with their line numbers.

use std::path::{Path, PathBuf};
use std::{fs, iter};

use crate::binary::workspace;

/// A file of the documentation.
pub struct Page {
    /// Where it lies.
    pub path: PathBuf,
    text: String,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// Line of the opening fence, from 1.
    pub line: usize,
    /// The language after the fence.
    pub language: String,
    /// The reason in a comment `<!-- not run: REASON -->` before the block.
    pub not_run: Option<String>,
    /// The lines, without the indentation of the fence.
    pub lines: Vec<String>,
}

/// A link.
#[derive(Debug)]
pub struct Link {
    /// Its line, from 1.
    pub line: usize,
    /// What stands in parentheses.
    pub target: String,
}

impl Page {
    /// Reads the file at `path`.
    ///
    /// # Panics
    ///
    /// When it cannot be read.
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Page { path: path.to_path_buf(), text }
    }

    /// The path as seen from the repository, with a line, for messages.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.strip_prefix(workspace()).unwrap_or(&self.path).display())
    }

    /// All fenced blocks.
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut before = "";
        let mut lines = self.text.lines().enumerate();
        while let Some((index, line)) = lines.next() {
            let Some(language) = line.trim_start().strip_prefix("```") else {
                before = if line.trim().is_empty() { before } else { line };
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
            let inside = inside.map(|line| line.get(indent..).unwrap_or_default().to_string()).collect();
            let reason = before.trim().strip_prefix("<!-- not run: ").and_then(|rest| rest.strip_suffix(" -->"));
            blocks.push(Block {
                line: index + 1,
                language: language.trim().to_string(),
                not_run: reason.map(str::to_string),
                lines: inside,
            });
            before = "";
        }
        blocks
    }

    /// The lines outside of fenced blocks, with code in backticks taken out.
    fn prose(&self) -> impl Iterator<Item = (usize, String)> {
        let mut is_inside = false;
        self.text.lines().enumerate().filter_map(move |(index, line)| {
            let is_fence = line.trim_start().starts_with("```");
            is_inside ^= is_fence;
            (!is_inside && !is_fence).then(|| (index + 1, without_code(line)))
        })
    }

    /// All links, images included.
    pub fn links(&self) -> Vec<Link> {
        let links = |(line, text): (usize, String)| {
            let targets: Vec<_> =
                text.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_string())).collect();
            targets.into_iter().map(move |target| Link { line, target })
        };
        self.prose().flat_map(links).collect()
    }

    /// The anchors of all headings.
    pub fn anchors(&self) -> Vec<String> {
        let mut is_inside = false;
        let headings = self.text.lines().filter(|line| {
            is_inside ^= line.trim_start().starts_with("```");
            !is_inside && line.starts_with('#')
        });
        headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
    }

    /// The code in backticks in the first cells of all tables.
    pub fn first_cells(&self) -> Vec<(usize, String)> {
        let rows = self.text.lines().enumerate().filter_map(|(index, line)| {
            let cell = line.strip_prefix("| ")?.split(" | ").next()?;
            Some((index + 1, cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_string()))
        });
        rows.collect()
    }
}

impl Block {
    /// The commands: the whole block, or in a block that shows their output, too, the lines after
    /// `$ `. A line that continues after a backslash is one with the next.
    pub fn commands(&self) -> Vec<String> {
        let shown = self.lines.iter().filter_map(|line| match self.language.as_str() {
            "console" => line.strip_prefix("$ "),
            _ => Some(line.as_str()),
        });
        let mut commands: Vec<String> = Vec::new();
        let mut goes_on = false;
        for line in shown {
            match commands.last_mut().filter(|_| goes_on) {
                Some(last) => last.push_str(line),
                None => commands.push(line.to_string()),
            }
            goes_on = line.ends_with('\\');
            if goes_on && let Some(last) = commands.last_mut() {
                last.pop();
            }
        }
        commands
    }
}

/// `line` without what stands in backticks, but with links whose text is in backticks.
fn without_code(line: &str) -> String {
    line.split('`').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, text)| text).collect()
}

/// The anchor that forges make of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

/// All Markdown files below `folder`, but those in folders that the build makes.
pub fn pages(folder: &Path) -> Vec<Page> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
    paths.sort();
    let is_made = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with('.') && name != ".github" || ["target", "data", "runs"].contains(&name.as_str())
    };
    let mut pages = Vec::new();
    for path in paths.into_iter().filter(|path| !is_made(path)) {
        if path.is_dir() && !path.is_symlink() {
            pages.extend(self::pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.extend(iter::once(Page::read(&path)));
        }
    }
    pages
}
