//! Rust source as the rules need it: tokens with their lines, without comments, and without what only tests compile.

use std::collections::BTreeSet;

/// A word, a number, `::`, any other single sign, or a literal (as `""`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    pub(super) first_line: usize,
    pub(super) last_line: usize,
}

/// One file.
#[derive(Debug)]
pub(super) struct Source<'a> {
    /// From the root of the repository, with `/`.
    pub(super) path: &'a str,
    pub(super) text: &'a str,
    /// The code that is not only for tests. Empty if all of the file is.
    pub(super) tokens: Vec<Token<'a>>,
}

/// What the text of literals is replaced by.
pub(super) const LITERAL: &str = "\"\"";

impl<'a> Source<'a> {
    pub(super) fn new(path: &'a str, text: &'a str) -> Source<'a> {
        let is_test_module = path.ends_with("/tests.rs") || path.contains("/tests/");
        let tokens = if is_test_module { Vec::new() } else { without_tests(&tokens_of(text)) };
        Source { path, text, tokens }
    }

    /// Whether the tokens from `at` on have these texts.
    pub(super) fn follows(&self, at: usize, texts: &[&str]) -> bool {
        follows(&self.tokens, at, texts)
    }

    /// How many lines of these tokens hold code.
    pub(super) fn code_lines(tokens: &[Token<'_>]) -> usize {
        let lines = tokens.iter().flat_map(|token| token.first_line..=token.last_line);
        lines.collect::<BTreeSet<_>>().len()
    }

    /// The paths below `root`, such as `crate` or `std`: the name that follows it, and the line. In
    /// `use root::{a::b, c};` these are `a` and `c`.
    pub(super) fn names_below(&self, root: &str) -> Vec<(&'a str, usize)> {
        let mut names = Vec::new();
        for at in 0..self.tokens.len() {
            let is_root = self.tokens[at].text == root && self.follows(at + 1, &["::"]);
            // `a::std` is somebody else's name.
            if is_root && (at == 0 || self.tokens[at - 1].text != "::") {
                names.extend(heads(&self.tokens[at + 2..]));
            }
        }
        names
    }
}

/// The first names of a path, or of each path of a group in braces.
pub(super) fn heads<'a>(tokens: &[Token<'a>]) -> Vec<(&'a str, usize)> {
    let Some(first) = tokens.first() else {
        return Vec::new();
    };
    if first.text != "{" {
        return vec![(first.text, first.first_line)];
    }
    let mut names = Vec::new();
    let mut depth = 0;
    let mut begins = false;
    for token in tokens {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if begins => names.push((token.text, token.first_line)),
            _ => {}
        }
        begins = depth == 1 && matches!(token.text, "{" | ",");
        if depth == 0 {
            break;
        }
    }
    names
}

fn follows(tokens: &[Token<'_>], at: usize, texts: &[&str]) -> bool {
    let found = tokens.get(at..at + texts.len());
    found.is_some_and(|found| found.iter().map(|token| token.text).eq(texts.iter().copied()))
}

/// Leaves out each item below `#[cfg(test)]`.
fn without_tests<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if follows(tokens, at, &["#", "[", "cfg", "(", "test", ")", "]"]) {
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at]);
            at += 1;
        }
    }
    kept
}

/// Where the item ends that begins, attributes first, at `at`.
fn end_of_item(tokens: &[Token<'_>], mut at: usize) -> usize {
    while follows(tokens, at, &["#", "["]) {
        at = end_of_group(tokens, at + 1);
    }
    while at < tokens.len() {
        match tokens[at].text {
            ";" => return at + 1,
            "{" => return end_of_group(tokens, at),
            "(" | "[" => at = end_of_group(tokens, at),
            _ => at += 1,
        }
    }
    at
}

/// Where the brackets are closed that open at `open`.
pub(super) fn end_of_group(tokens: &[Token<'_>], open: usize) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn tokens_of(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while !rest.is_empty() {
        let (kind, len) = next_token(rest);
        let (taken, after) = rest.split_at(len);
        let last_line = line + taken.matches('\n').count();
        match kind {
            Kind::Nothing => {}
            Kind::Literal => tokens.push(Token { text: LITERAL, first_line: line, last_line }),
            Kind::Code => tokens.push(Token { text: taken, first_line: line, last_line }),
        }
        line = last_line;
        rest = after;
    }
    tokens
}

enum Kind {
    /// White space or a comment.
    Nothing,
    Literal,
    Code,
}

/// What `text` begins with, and how many bytes that takes.
fn next_token(text: &str) -> (Kind, usize) {
    let first = text.chars().next().unwrap_or_default();
    if first.is_whitespace() {
        return (Kind::Nothing, first.len_utf8());
    }
    if text.starts_with("//") {
        return (Kind::Nothing, text.find('\n').unwrap_or(text.len()));
    }
    if text.starts_with("/*") {
        return (Kind::Nothing, block_comment(text));
    }
    if let Some(len) = string(text).or_else(|| char_literal(text)) {
        return (Kind::Literal, len);
    }
    if text.starts_with("::") {
        return (Kind::Code, 2);
    }
    let word = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (Kind::Code, word.max(first.len_utf8()))
}

/// The length of a comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        match &text.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a string of any kind: plain, raw, of bytes, of C.
fn string(text: &str) -> Option<usize> {
    let prefix = text.find(|c: char| !matches!(c, 'b' | 'c' | 'r')).filter(|len| *len <= 2)?;
    let raw = text[..prefix].ends_with('r');
    let hashes = text[prefix..].bytes().take_while(|byte| raw && *byte == b'#').count();
    let begin = prefix + hashes;
    let body = text[begin..].strip_prefix('"')?;
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(body.find(&end).map_or(text.len(), |at| begin + 1 + at + end.len()));
    }
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(begin + 1 + at + 1),
            _ => {}
        }
    }
    Some(text.len())
}

/// The length of a character or byte; a lifetime is none.
fn char_literal(text: &str) -> Option<usize> {
    let prefix = usize::from(text.starts_with('b'));
    let body = text[prefix..].strip_prefix('\'')?;
    let mut chars = body.char_indices();
    let (_, first) = chars.next()?;
    if first == '\\' {
        // The escaped sign itself may be a quote.
        let end = body.get(2..)?.find('\'')?;
        return Some(prefix + 1 + 2 + end + 1);
    }
    let (end, quote) = chars.next()?;
    (quote == '\'').then_some(prefix + 1 + end + 1)
}
