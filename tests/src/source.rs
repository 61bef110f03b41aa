//! Rust source as tokens: text enters; identifiers and punctuation with their lines leave, without
//! comments, without what is in strings, and on demand without tests. Of the grammar it knows what
//! module declarations and paths need; no macro is expanded.

/// A token that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// An identifier without `r#`, `::`, one character of punctuation, or `"` for any literal in
    /// quotes.
    pub text: String,
    /// Its line, from 1.
    pub line: usize,
}

/// A path, or a leaf of a tree of `use`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// `["crate", "decide", "Rules"]`; `*` and a `self` at the end of a group are left out.
    pub segments: Vec<String>,
    /// What a `use` calls it; `None` for `*`.
    pub name: Option<String>,
    /// Line of its last segment.
    pub line: usize,
}

/// The tokens of `text`.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { chars: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.tokens
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer {
    fn step(&mut self) {
        let c = self.chars[self.at];
        match (c, self.peek(1)) {
            ('/', Some('/')) => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.at += 1;
                }
            }
            ('/', Some('*')) => self.block_comment(),
            (':', Some(':')) => {
                self.push("::");
                self.advance(2);
            }
            ('"', _) => self.string(),
            ('\'', next) => {
                // A lifetime has no closing quote after its first character.
                if next.is_some_and(|c| c != '\\') && self.peek(2) != Some('\'') {
                    self.advance(1);
                } else {
                    self.push("\"");
                    self.advance(if next == Some('\\') { 3 } else { 2 });
                    while self.peek(0).is_some_and(|c| c != '\'') {
                        self.advance(1);
                    }
                    self.advance(1);
                }
            }
            (c, _) if c.is_alphanumeric() || c == '_' => self.word(),
            (c, _) if c.is_whitespace() => self.advance(1),
            (c, _) => {
                self.push(&c.to_string());
                self.advance(1);
            }
        }
    }

    fn word(&mut self) {
        let mut word = String::new();
        while let Some(c) = self.peek(0).filter(|c| c.is_alphanumeric() || *c == '_') {
            word.push(c);
            self.at += 1;
        }
        let is_prefix = ["r", "b", "c", "br", "cr"].contains(&word.as_str());
        match self.peek(0) {
            Some('"') if is_prefix && word.ends_with('r') => self.raw_string(0),
            Some('"') if is_prefix => self.string(),
            Some('#') if is_prefix && word.ends_with('r') => {
                let n_hashes = self.chars[self.at..].iter().take_while(|c| **c == '#').count();
                match self.peek(n_hashes) {
                    Some('"') => self.raw_string(n_hashes),
                    // `r#type`: the identifier comes next.
                    _ => self.advance(1),
                }
            }
            _ => self.push(&word),
        }
    }

    fn string(&mut self) {
        self.push("\"");
        self.advance(1);
        while let Some(c) = self.peek(0).filter(|c| *c != '"') {
            self.advance(if c == '\\' { 2 } else { 1 });
        }
        self.advance(1);
    }

    fn raw_string(&mut self, n_hashes: usize) {
        self.push("\"");
        self.advance(n_hashes + 1);
        let end: String = std::iter::once('"').chain(std::iter::repeat_n('#', n_hashes)).collect();
        let ends = |lexer: &Self| end.chars().enumerate().all(|(k, c)| lexer.peek(k) == Some(c));
        while self.at < self.chars.len() && !ends(self) {
            self.advance(1);
        }
        self.advance(n_hashes + 1);
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                _ => {
                    self.advance(1);
                    continue;
                }
            }
            self.advance(2);
            if depth == 0 {
                return;
            }
        }
    }

    fn peek(&self, n: usize) -> Option<char> {
        self.chars.get(self.at + n).copied()
    }

    fn advance(&mut self, n: usize) {
        let end = (self.at + n).min(self.chars.len());
        self.line += self.chars[self.at.min(end)..end].iter().filter(|c| **c == '\n').count();
        self.at = end;
    }

    fn push(&mut self, text: &str) {
        self.tokens.push(Token { text: text.to_string(), line: self.line });
    }
}

/// What is compiled without `cfg(test)`: items after `#[cfg(test)]` or `#[cfg(all(test, ..))]` go.
pub fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = attribute(tokens, at) {
            if is_test(&tokens[at..end]) {
                at = end_of_item(tokens, end);
            } else {
                kept.extend_from_slice(&tokens[at..end]);
                at = end;
            }
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    kept
}

/// The end of the outer attribute that begins at `at`, if one does.
fn attribute(tokens: &[Token], at: usize) -> Option<usize> {
    (is(tokens, at, "#") && is(tokens, at + 1, "[")).then(|| end_of_group(tokens, at + 1))
}

fn is_test(attribute: &[Token]) -> bool {
    let texts: Vec<&str> = attribute.iter().map(|token| token.text.as_str()).collect();
    match texts.get(2..) {
        Some(["cfg", "(", "test", ")", ..]) => true,
        Some(["cfg", "(", "all", "(", conditions @ ..]) => {
            let mut depth = 0;
            conditions.iter().any(|text| {
                match *text {
                    "(" => depth += 1,
                    ")" => depth -= 1,
                    _ => {}
                }
                *text == "test" && depth == 0
            })
        }
        _ => false,
    }
}

/// The end of the item, field or statement that begins at `at`, perhaps with further attributes.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while let Some(end) = attribute(tokens, at) {
        at = end;
    }
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            ";" | "," => return at + 1,
            "{" => return end_of_group(tokens, at),
            "(" | "[" => at = end_of_group(tokens, at),
            // The end of what the item is in.
            "}" | ")" | "]" => return at,
            _ => at += 1,
        }
    }
    at
}

/// The end of the group that is opened by the bracket at `at`.
fn end_of_group(tokens: &[Token], at: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(at) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    tokens.len()
}

fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|token| token.text == text)
}

fn is_name(tokens: &[Token], at: usize) -> bool {
    tokens.get(at).is_some_and(|token| token.text.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// Whether a path that is not in a `use` begins at `at`: an identifier before `::` and not after
/// one.
pub fn begins_path(tokens: &[Token], at: usize) -> bool {
    is_name(tokens, at) && is(tokens, at + 1, "::") && !(at > 0 && is(tokens, at - 1, "::"))
}

/// The path, or the leaves of the tree of a `use`, that begins at `at`; and where it ends.
pub fn paths(tokens: &[Token], at: usize) -> (Vec<Path>, usize) {
    let mut found = Vec::new();
    let end = tree(tokens, at, Vec::new(), &mut found);
    (found, end)
}

fn tree(tokens: &[Token], mut at: usize, mut segments: Vec<String>, found: &mut Vec<Path>) -> usize {
    let line_at = |at: usize| tokens.get(at).map_or(0, |token| token.line);
    if is(tokens, at, "::") {
        // From the root of all crates: no module of this one.
        segments.push(String::new());
        at += 1;
    }
    loop {
        if is(tokens, at, "*") {
            found.push(Path { segments, name: None, line: line_at(at) });
            return at + 1;
        }
        if is(tokens, at, "{") {
            at += 1;
            while at < tokens.len() && !is(tokens, at, "}") {
                let end = tree(tokens, at, segments.clone(), found);
                at = if is(tokens, end, ",") || end == at { end + 1 } else { end };
            }
            return at + 1;
        }
        if !is_name(tokens, at) {
            return at;
        }
        let line = line_at(at);
        if !is(tokens, at, "self") || segments.is_empty() {
            segments.push(tokens[at].text.clone());
        }
        at += 1;
        let goes_on = is(tokens, at + 1, "*") || is(tokens, at + 1, "{") || is_name(tokens, at + 1);
        if is(tokens, at, "::") && goes_on {
            at += 1;
            continue;
        }
        let name =
            if is(tokens, at, "as") { tokens.get(at + 1).map(|t| t.text.clone()) } else { segments.last().cloned() };
        let end = if is(tokens, at, "as") { at + 2 } else { at };
        found.push(Path { segments, name, line });
        return end;
    }
}
