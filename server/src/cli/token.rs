//! `annals token`: makes a token for a server, and writes down what it hashes to.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::failure::Failure;
use super::output::Output;
use crate::http::{Entry, Hash, Rate, Scope, TokenFile};

/// The random bytes of a token: more than anybody can guess, so a plain hash keeps it safe.
const TOKEN_BYTES: usize = 32;

/// Makes a token and adds it to a file of tokens, hashed; prints it, once
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {
    /// Whose token it is; for people
    name: String,
    /// The file of tokens, which a server is given by --tokens; it is made where there is none
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// What it is good for; can be given again
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<Scope>,
    /// The beginning of the names of its streams, if it is not for all; can be given again
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefixes: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &TokenArgs) -> Result<(), Failure> {
    let mut random = [0; TOKEN_BYTES];
    getrandom::fill(&mut random)
        .map_err(|error| Failure::Unusable(format!("the system gives no random bytes: {error}")))?;
    let token = format!("annals_{}", URL_SAFE_NO_PAD.encode(random));
    let entry = Entry {
        name: args.name.clone(),
        sha256: Hash::of(&token),
        scopes: args.scopes.clone(),
        prefixes: args.prefixes.clone(),
        rate: Rate::default(),
    };
    if args.file.exists() {
        // What cannot be read would not be read by a server either.
        TokenFile::read(&args.file).map_err(Failure::Usage)?;
    }
    let cannot = |error| Failure::Unusable(format!("cannot write {}: {error}", args.file.display()));
    let mut file = OpenOptions::new().create(true).append(true).open(&args.file).map_err(cannot)?;
    file.write_all(entry.to_toml().as_bytes()).map_err(cannot)?;
    let mut out = Output::stdout();
    out.line(format_args!("{token}"))?;
    out.flush()
}
