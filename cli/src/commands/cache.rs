//! `faascli cache`

use crate::build_cache::{self, Summary};
use crate::failure::Failure;
use crate::output::{self, human_bytes};

/// Show the cache of builds, or empty it
///
/// A build of the same module with the same options, by the same faascli, is taken from there. It is
/// bounded: builds that were not used for longest go first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  faascli cache
  faascli cache --clear")]
pub(crate) struct Args {
    /// Remove all entries
    #[arg(long)]
    clear: bool,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<u8, Failure> {
    let summary = build_cache::summary(args.clear);
    if args.json {
        output::json(&summary)?;
    } else {
        print(&summary)?;
    }
    Ok(0)
}

fn print(summary: &Summary) -> output::Result {
    let Summary { folder, usable, entries, bytes, most_bytes } = summary;
    let Some(folder) = folder else {
        return output::line(format_args!("no cache: neither XDG_CACHE_HOME nor HOME is set"));
    };
    let folder = folder.display();
    if !usable {
        return output::line(format_args!(
            "{folder}: not used, it cannot be made or others can write to it"
        ));
    }
    let (bytes, most) = (human_bytes(*bytes), human_bytes(*most_bytes));
    output::line(format_args!("{folder}: {entries} builds, {bytes} of at most {most}"))
}
