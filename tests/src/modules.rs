//! Which module of a crate imports which: a folder of sources enters, imports and their circles
//! leave.
//!
//! Modules are followed from `lib.rs` and `main.rs` through their declarations, so that what only
//! tests declare is not seen. An import is a path from `crate`, `super`, `self` or the crate's own
//! name, in a `use` or anywhere else. A module and those within it are one hierarchy: what passes
//! between them does not count. Where a module takes a name from one above it that only hands on
//! what a `use` brought there, the import is of the module that the name comes from.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::fs;
use std::path::{Path as FilePath, PathBuf};

use crate::source::{self, Path, Token};

/// How deep [`Crate::circles`] looks: among the modules of the root, and among those of each of
/// them.
pub const LEVELS: usize = 2;

/// Names of a module from the root of the crate; empty for the root.
pub type Module = Vec<String>;

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The module that imports.
    pub from: Module,
    /// The module that is imported, or of which something is.
    pub to: Module,
    /// Where that is written.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// The modules of a crate.
#[derive(Debug, Default)]
pub struct Crate {
    /// In the order in which they are declared, each before those within it.
    pub modules: Vec<Module>,
    /// All imports between modules of which neither is within the other.
    pub imports: Vec<Import>,
}

/// Modules of one parent that import each other all the way round.
#[derive(Debug, PartialEq, Eq)]
pub struct Circle {
    /// From the root: each imports the next one, and the last one the first.
    pub modules: Vec<Module>,
    /// Of each module the places where it imports the next one.
    pub places: Vec<Vec<(PathBuf, usize)>>,
}

impl Crate {
    /// Reads the sources in the folder `src` of the crate that is called `name` in paths.
    ///
    /// # Panics
    ///
    /// Where there is neither a `lib.rs` nor a `main.rs`, or a declared module has no file.
    pub fn read(src: &FilePath, name: &str) -> Self {
        let mut reader = Reader { src, modules: Vec::new(), written: Vec::new() };
        let roots: Vec<_> =
            ["lib.rs", "main.rs"].map(|root| src.join(root)).into_iter().filter(|f| f.is_file()).collect();
        assert!(!roots.is_empty(), "no lib.rs and no main.rs in {}", src.display());
        roots.iter().for_each(|root| reader.file(Module::new(), root));
        reader.finish(name)
    }

    /// The circles among modules of the same parent, down to [`LEVELS`]: through each import the
    /// shortest, and the shortest of all first.
    pub fn circles(&self) -> Vec<Circle> {
        let parents = self.imports.iter().map(|import| common(&import.from, &import.to));
        let parents: BTreeSet<Module> = parents.filter(|parent| parent.len() < LEVELS).collect();
        let mut circles: Vec<Circle> = parents.iter().flat_map(|parent| self.circles_within(parent)).collect();
        circles.sort_by_key(|circle| circle.modules.len());
        circles
    }

    fn circles_within(&self, parent: &Module) -> Vec<Circle> {
        let mut places: BTreeMap<(&String, &String), Vec<(PathBuf, usize)>> = BTreeMap::new();
        for import in self.imports.iter().filter(|import| common(&import.from, &import.to) == *parent) {
            let ends = (&import.from[parent.len()], &import.to[parent.len()]);
            let (of_both, place) = (places.entry(ends).or_default(), (import.file.clone(), import.line));
            if !of_both.contains(&place) {
                of_both.push(place);
            }
        }
        let mut next: BTreeMap<&String, Vec<&String>> = BTreeMap::new();
        places.keys().for_each(|(from, to)| next.entry(from).or_default().push(to));
        let mut seen = BTreeSet::new();
        for (from, to) in places.keys() {
            if let Some(mut names) = shortest(&next, to, from) {
                let first = names.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
                names.rotate_left(first);
                seen.insert(names);
            }
        }
        let circle = |names: Vec<&String>| Circle {
            modules: names.iter().map(|name| [parent.as_slice(), &[(*name).clone()]].concat()).collect(),
            places: (0..names.len()).map(|at| places[&(names[at], names[(at + 1) % names.len()])].clone()).collect(),
        };
        seen.into_iter().map(circle).collect()
    }
}

/// The shortest way from `start` to `end`, both included.
fn shortest<'a>(next: &BTreeMap<&'a String, Vec<&'a String>>, start: &'a String, end: &str) -> Option<Vec<&'a String>> {
    let mut ways = VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::from([start]);
    while let Some(way) = ways.pop_front() {
        let last = way[way.len() - 1];
        if last == end {
            return Some(way);
        }
        for &name in next.get(last).into_iter().flatten() {
            if seen.insert(name) {
                ways.push_back(way.iter().copied().chain([name]).collect());
            }
        }
    }
    None
}

impl fmt::Display for Circle {
    /// `a -> b -> a`, and below it a line for each import.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.modules.iter().map(|module| module.join("::")).collect();
        writeln!(f, "{} -> {}", names.join(" -> "), names[0])?;
        for (at, places) in self.places.iter().enumerate() {
            for (file, line) in places {
                writeln!(f, "    {} imports {}: {}:{line}", names[at], names[(at + 1) % names.len()], file.display())?;
            }
        }
        Ok(())
    }
}

/// A path that may be an import, as written in a module.
struct Written {
    module: Module,
    path: Path,
    is_use: bool,
    file: PathBuf,
}

struct Reader<'a> {
    src: &'a FilePath,
    modules: Vec<Module>,
    written: Vec<Written>,
}

impl Reader<'_> {
    /// Reads `module`, which is in `file`, and the modules that it declares.
    fn file(&mut self, module: Module, file: &FilePath) {
        let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        self.modules.push(module.clone());
        self.body(module, &source::without_tests(&source::tokens(&text)), file);
    }

    fn body(&mut self, module: Module, tokens: &[Token], file: &FilePath) {
        // The modules that are open in this file, each with the depth of brackets around its own.
        let mut open = vec![(module, 0)];
        let (mut depth, mut at) = (0, 0);
        while at < tokens.len() {
            let here = open[open.len() - 1].0.clone();
            let text = |at: usize| tokens.get(at).map_or("", |token| token.text.as_str());
            match (text(at), text(at + 2)) {
                ("mod", ";") => {
                    let child = [here.as_slice(), &[text(at + 1).to_string()]].concat();
                    let file = self.file_of(&child);
                    self.file(child, &file);
                    at += 3;
                }
                ("mod", "{") => {
                    let child = [here.as_slice(), &[text(at + 1).to_string()]].concat();
                    self.modules.push(child.clone());
                    open.push((child, depth));
                    depth += 1;
                    at += 3;
                }
                ("use", _) => at = self.paths(tokens, at + 1, &here, true, file),
                (_, _) if source::begins_path(tokens, at) => at = self.paths(tokens, at, &here, false, file),
                (text, _) => {
                    match text {
                        "{" => depth += 1,
                        "}" => {
                            depth -= 1;
                            if open.len() > 1 && open[open.len() - 1].1 == depth {
                                open.pop();
                            }
                        }
                        _ => {}
                    }
                    at += 1;
                }
            }
        }
    }

    fn paths(&mut self, tokens: &[Token], at: usize, module: &Module, is_use: bool, file: &FilePath) -> usize {
        let (paths, end) = source::paths(tokens, at);
        let written = paths.into_iter().map(|path| Written { module: module.clone(), path, is_use, file: file.into() });
        self.written.extend(written);
        end.max(at + 1)
    }

    fn file_of(&self, module: &Module) -> PathBuf {
        let base = module.iter().fold(self.src.to_path_buf(), |folder, name| folder.join(name));
        let file = base.with_extension("rs");
        if file.is_file() { file } else { base.join("mod.rs") }
    }

    fn finish(self, name: &str) -> Crate {
        let names = Names::new(&self.modules, &self.written, name);
        let mut imports = Vec::new();
        for written in &self.written {
            let Some(to) = names.target(&written.module, &written.path.segments) else { continue };
            let from = &written.module;
            if !from.starts_with(&to) && !to.starts_with(from) {
                let (file, line) = (written.file.clone(), written.path.line);
                imports.push(Import { from: from.clone(), to, file, line });
            }
        }
        Crate { modules: self.modules, imports }
    }
}

/// What names mean.
struct Names<'a> {
    modules: BTreeSet<&'a Module>,
    /// What a module's `use` brought into it: segments by module and name.
    brought: HashMap<(&'a Module, &'a str), &'a [String]>,
    own: &'a str,
}

impl<'a> Names<'a> {
    fn new(modules: &'a [Module], written: &'a [Written], own: &'a str) -> Self {
        let uses = written.iter().filter(|written| written.is_use);
        let brought = uses.filter_map(|written| {
            Some(((&written.module, written.path.name.as_deref()?), written.path.segments.as_slice()))
        });
        Names { modules: modules.iter().collect(), brought: brought.collect(), own }
    }

    /// The module that `segments`, written in the module `from`, are of; `None` if it is of another
    /// crate.
    fn target(&self, from: &Module, segments: &[String]) -> Option<Module> {
        let (mut module, mut rest) = self.absolute(from, segments)?;
        // Names may be handed on a few times; the bound is for those that lead back to themselves.
        for _ in 0..8 {
            while let Some((name, further)) = rest.split_first() {
                let child = [module.as_slice(), std::slice::from_ref(name)].concat();
                if !self.modules.contains(&child) {
                    break;
                }
                (module, rest) = (child, further.to_vec());
            }
            // Elsewhere it is enough to know who is asked.
            let is_above = from.starts_with(&module);
            let brought =
                rest.first().filter(|_| is_above).and_then(|name| self.brought.get(&(&module, name.as_str())));
            let Some((origin, path)) = brought.and_then(|segments| self.absolute(&module, segments)) else { break };
            (module, rest) = (origin, path);
        }
        Some(module)
    }

    /// The same path from a module of this crate on.
    fn absolute(&self, from: &Module, segments: &[String]) -> Option<(Module, Vec<String>)> {
        let n_super = segments.iter().take_while(|segment| *segment == "super").count();
        let first = segments.first()?.as_str();
        let (module, n_used) = match first {
            "crate" => (Module::new(), 1),
            "self" => {
                let n_super = segments[1..].iter().take_while(|segment| *segment == "super").count();
                (from[..from.len().checked_sub(n_super)?].to_vec(), 1 + n_super)
            }
            "super" => (from[..from.len().checked_sub(n_super)?].to_vec(), n_super),
            // A child. What a `use` brought here was seen there.
            _ if self.modules.contains(&[from.as_slice(), &[first.to_string()]].concat()) => (from.clone(), 0),
            _ if first == self.own => (Module::new(), 1),
            _ => return None,
        };
        Some((module, segments[n_used..].to_vec()))
    }
}

/// The innermost module that both are in.
fn common(a: &Module, b: &Module) -> Module {
    a.iter().zip(b).take_while(|(a, b)| a == b).map(|(name, _)| name.clone()).collect()
}
