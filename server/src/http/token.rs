//! Tokens: who may do what, as a file says that keeps no token, only what each one hashes to.
//!
//! ```toml
//! [[tokens]]
//! name = "shop"
//! sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
//! scopes = ["read", "append"]
//! prefixes = ["order-", "cart-"]
//! rate = { requests_per_second_max = 100 }
//! ```
//!
//! The file is read again when it changes. One that cannot be read changes nothing.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::access::{Access, Bearer, Scope};
use super::rate::Rate;
use super::seen::Seen;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One token, as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Whose it is; for people.
    pub(crate) name: String,
    /// What the token hashes to, in hexadecimal digits.
    pub(crate) sha256: Hash,
    /// What it is good for.
    pub(crate) scopes: Vec<Scope>,
    /// The beginnings of the names of the streams that it is good for; none is every stream.
    #[serde(default)]
    pub(crate) prefixes: Vec<String>,
    /// How much its bearer may ask; what is not said is as for everybody.
    #[serde(default)]
    pub(crate) rate: Rate,
}

impl Entry {
    /// The entry as it stands in a file.
    pub(crate) fn to_toml(&self) -> String {
        let text = |text: &str| serde_json::json!(text).to_string();
        let list = |texts: Vec<String>| format!("[{}]", texts.join(", "));
        let scopes = self.scopes.iter().map(|scope| text(scope.name())).collect();
        let mut entry = format!(
            "\n[[tokens]]\nname = {}\nsha256 = \"{}\"\nscopes = {}\n",
            text(&self.name),
            String::from(self.sha256),
            list(scopes)
        );
        if !self.prefixes.is_empty() {
            let prefixes = self.prefixes.iter().map(|prefix| text(prefix)).collect();
            entry.push_str(&format!("prefixes = {}\n", list(prefixes)));
        }
        entry
    }
}

/// What a token hashes to.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Hash([u8; 32]);

impl Hash {
    /// The hash of a token.
    pub(crate) fn of(token: &str) -> Hash {
        Hash(Sha256::digest(token.as_bytes()).into())
    }
}

impl PartialEq for Hash {
    /// Takes as long for hashes that differ in the first byte as for those that differ in the last.
    fn eq(&self, other: &Hash) -> bool {
        self.0.iter().zip(&other.0).fold(0, |differ, (one, other)| differ | (one ^ other)) == 0
    }
}

impl Eq for Hash {}

impl From<Hash> for String {
    fn from(hash: Hash) -> String {
        hash.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TryFrom<String> for Hash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Hash, &'static str> {
        const WANTED: &str = "is not a SHA-256 in 64 hexadecimal digits";
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() || !text.is_ascii() {
            return Err(WANTED);
        }
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| WANTED)?;
        }
        Ok(Hash(bytes))
    }
}

/// All tokens of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenFile {
    #[serde(default)]
    pub(crate) tokens: Vec<Entry>,
}

impl TokenFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<TokenFile, String> {
        let cannot = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
        let len = std::fs::metadata(path).map_err(|error| cannot(&error))?.len();
        if len > FILE_BYTES_MAX {
            return Err(cannot(&format_args!("it has {len} bytes; at most {FILE_BYTES_MAX} are read")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
        toml::from_str(&text).map_err(|error| cannot(&error))
    }

    /// What the bearer of a token may do, and whose it is; none when nobody knows it.
    fn access_of(&self, token: &str) -> Option<(Access, Bearer)> {
        let hash = Hash::of(token);
        // All of them are looked at: how long it takes says nothing about which one it is.
        let found = self.tokens.iter().fold(
            None,
            |found, entry| {
                if entry.sha256 == hash { Some(entry) } else { found }
            },
        );
        found.map(|entry| {
            let bearer = Bearer { name: entry.name.as_str().into(), rate: entry.rate };
            (Access::of(&entry.scopes, &entry.prefixes), bearer)
        })
    }
}

/// The tokens of a file as it is at the moment.
#[derive(Debug)]
pub(crate) struct Tokens {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Clone)]
struct State {
    file: Arc<TokenFile>,
    seen: Seen,
    trouble: Option<String>,
}

impl Tokens {
    /// Reads the file for the first time.
    pub(crate) fn open(path: PathBuf) -> Result<Tokens, String> {
        let seen = Seen::of(&path);
        let file = Arc::new(TokenFile::read(&path)?);
        Ok(Tokens { path, state: Mutex::new(State { file, seen, trouble: None }) })
    }

    /// What the bearer of a token may do, and whose it is; none when nobody knows it.
    pub(crate) fn access_of(&self, token: &str) -> Option<(Access, Bearer)> {
        let file = Arc::clone(&self.lock().file);
        file.access_of(token)
    }

    /// Reads the file again if it has changed. It may block. Tells why it could not be read, once for each change.
    pub(crate) fn refresh(&self) -> Result<(), String> {
        let seen = Seen::of(&self.path);
        if seen == self.lock().seen {
            return Ok(());
        }
        let read = TokenFile::read(&self.path);
        let mut state = self.lock();
        state.seen = seen;
        state.trouble = read.as_ref().err().cloned();
        state.file = Arc::new(read?);
        Ok(())
    }

    /// Why the file as it stands is not the one in use.
    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // What is locked is whole at every moment.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        [[tokens]]
        name = "shop"
        sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
        scopes = ["read", "append"]
        prefixes = ["order-"]
    "#;

    #[test]
    fn a_token_is_known_by_its_hash_alone() {
        let file: TokenFile = toml::from_str(FILE).expect("legal");
        let (access, _) = file.access_of("test").expect("that is its hash");
        assert!(access.may(Scope::Append) && !access.may(Scope::Admin));
        assert!(access.sees("order-1") && !access.sees("cart-1"));
        assert!(file.access_of("tess").is_none() && file.access_of("").is_none());
        assert!(!format!("{file:?}").contains("test"));
    }

    #[test]
    fn an_entry_that_is_written_is_read_again() {
        let entry = Entry {
            name: "a \"shop\" ü\n".to_owned(),
            sha256: Hash::of("x"),
            scopes: vec![Scope::Admin, Scope::Read],
            prefixes: vec!["order-".to_owned()],
            rate: Rate::default(),
        };
        let plain = Entry { prefixes: Vec::new(), ..entry.clone() };
        let file: TokenFile = toml::from_str(&[entry.to_toml(), plain.to_toml()].concat()).expect("legal");
        assert_eq!(file.tokens, [entry, plain]);
    }

    #[test]
    fn what_is_misspelt_in_the_file_is_refused() {
        for (right, wrong) in
            [("9f86", "9f8"), ("9f86", "9x86"), ("\"read\"", "\"reed\""), ("prefixes", "prefix")]
        {
            assert!(toml::from_str::<TokenFile>(&FILE.replace(right, wrong)).is_err(), "{wrong}");
        }
    }
}
