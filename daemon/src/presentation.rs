//! The presentation service's process: the integrator's policy from the configuration.

use std::path::{Path, PathBuf};

use greenroom_core::hal::{Authority, Launch, Peer, Right, Visitor};
use greenroom_core::presentation::service;
use greenroom_hal_linux::error::LinuxError;
use greenroom_hal_linux::presentation::{Place, Policy, serve};
use greenroom_hal_linux::process::Program;
use greenroom_hal_linux::socket::SeqPacket;

use crate::access::{Access, AccessError};
use crate::config::{Config, PageSection};
use crate::runtime;

/// What is kept is nobody else's business.
const STATE_MODE: u32 = 0o700;

/// Why the presentation service did not start, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresentationError {
    /// Caller: those who are to have access cannot be told.
    #[error("{0}")]
    Access(#[from] AccessError),
    /// Caller or platform: a directory cannot be had.
    #[error("cannot make the directory {path}: {cause}; make it, or configure another one")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the platform said.
        cause: std::io::Error,
    },
    /// Caller: a path is no text.
    #[error("the path {0} is not UTF-8; choose another one")]
    NotText(PathBuf),
    /// Caller or platform: something that the service needs cannot be had.
    #[error("{0}; see [presentation] in the configuration")]
    Platform(#[from] LinuxError),
}

/// What the configuration says of clients and pages.
#[derive(Clone, Debug)]
struct Configured {
    access: Access,
    pages: Vec<PageSection>,
    environment: Vec<(String, String)>,
}

impl Configured {
    fn page(&self, url: &str) -> Option<&PageSection> {
        self.pages.iter().find(|page| page.means(url))
    }
}

impl Policy for Configured {
    /// Whom the socket's mode lets in may have pages shown elsewhere.
    fn access(&self, peer: &Peer) -> Option<service::Access> {
        let is_platform = self.access.may(peer, Right::Box);
        Some(if is_platform { service::Access::Platform } else { service::Access::Page })
    }

    fn may_show(&self, visitor: &Visitor<'_>, url: &str) -> bool {
        self.page(url).is_some_and(|page| page.lets(visitor))
    }

    /// Whether the device may have it shown was asked before.
    fn program(&self, launch: &Launch<'_>) -> Option<Program> {
        let page = self.page(launch.url)?;
        let (program, arguments) = page.command.split_first()?;
        let filled = |text: &String| text.replace("{url}", launch.url).replace("{id}", launch.presentation_id);
        Some(Program {
            path: PathBuf::from(program),
            arguments: arguments.iter().map(filled).collect(),
            environment: self.environment.clone(),
        })
    }
}

/// Serves until a signal says that it is to end, or the manager at the other end of the link has gone. To be called before
/// any other thread is started.
pub fn run(config: &Config, link: Option<SeqPacket>) -> Result<(), PresentationError> {
    let place = place(config)?;
    let policy = Configured {
        access: Access::resolve(config)?,
        pages: config.presentation.page.clone(),
        environment: config.receiver_environment(),
    };
    Ok(serve(place, policy, link)?)
}

fn place(config: &Config) -> Result<Place, PresentationError> {
    let section = &config.presentation;
    let (socket, state_directory) = (config.presentation_socket(), config.presentation_state());
    for (directory, mode) in
        [(socket.parent().unwrap_or(Path::new("/")), socket_mode()), (state_directory.as_path(), STATE_MODE)]
    {
        if !directory.is_dir() {
            let made = runtime::make_directory(directory, mode);
            made.map_err(|cause| PresentationError::Directory { path: directory.to_owned(), cause })?;
        }
    }
    let text =
        |path: PathBuf| path.into_os_string().into_string().map_err(|path| PresentationError::NotText(path.into()));
    Ok(Place {
        name: section.name.as_str().to_owned(),
        port: section.port,
        is_encrypted: section.encrypt,
        accepts_plain: section.accept_plain,
        interfaces: section.interfaces.clone(),
        state_directory,
        receiver_directory: socket.with_extension("receivers"),
        socket: text(socket)?,
        socket_access: (section.mode.0, section.owner.as_str().to_owned(), section.group.as_str().to_owned()),
        page_load_timeout: section.page_load_timeout(),
        establish_timeout: section.establish_timeout(),
    })
}

/// Other users may pass through the directory of a system's service: the sockets in it have modes of their own.
fn socket_mode() -> u32 {
    if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 }
}
