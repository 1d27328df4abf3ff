//! `onward completions`: a completion script for a shell.

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::Cli;
use crate::terminal::print;

/// For which shell.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "onward", &mut script);
    print::out(&String::from_utf8_lossy(&script))
}
