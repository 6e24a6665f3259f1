//! The command line from outside: the real binary, its results, its messages and its exit codes.

mod backing_up;
mod benching;
mod command;
mod events;
mod failing;
mod importing;
mod keeping;
mod salvaging;
mod serving;
