//! Resolution of paths in trees that this process keeps, as `openat2(RESOLVE_BENEATH)` does it.

use super::path::{MAX_NAME, MAX_STEPS, MAX_SYMLINKS};
use super::{Error, FileType, Follow, Result};

/// A tree that paths are looked up in.
pub(super) trait Tree {
    /// Something in the tree.
    type Node: Clone;

    /// The node of this name in a directory.
    fn child(&self, directory: &Self::Node, name: &str) -> Result<Option<Self::Node>>;

    /// The type of a node.
    fn kind(&self, node: &Self::Node) -> FileType;

    /// The target of a symlink.
    fn target(&self, link: &Self::Node) -> Result<String>;
}

/// Who asks for a path's last name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// An operation on what is there. A slash at the end follows a symlink, whatever else is asked.
    Looked(Follow),
    /// An operation that creates what is not there. A slash at the end, of the path or of what a symlink
    /// leads to, is its to refuse, whatever is there.
    Created(Follow),
    /// An operation on the name: nothing is followed.
    Named,
}

/// The last part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// A name.
    Normal(String),
    /// `.`
    Dot,
    /// `..`
    DotDot,
}

/// The place that a path leads to.
pub(super) struct Place<N> {
    /// Directories on the way, from the one the path began at; the last one has the name in it.
    pub(super) above: Vec<N>,
    /// The last part of the path.
    pub(super) name: Name,
    /// What is there.
    pub(super) node: Option<N>,
    /// Whether a slash follows the name.
    pub(super) slash: bool,
}

impl<N> Place<N> {
    /// What is there.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is nothing.
    pub(super) fn found(self) -> Result<N> {
        self.node.ok_or(Error::NotFound)
    }
}

/// Walks down a path from a directory.
///
/// # Errors
/// [`Error::Escapes`], [`Error::NotFound`] for anything before the last name,
/// [`Error::NotDirectory`], [`Error::Loop`], [`Error::NameTooLong`].
pub(super) fn walk<T: Tree>(
    tree: &T,
    base: T::Node,
    path: &str,
    last: Last,
) -> Result<Place<T::Node>> {
    let mut walk =
        Walk { tree, above: vec![base], rest: path.to_owned(), at: 0, symlinks: 0, steps: 0 };
    if path.is_empty() {
        return Err(Error::NotFound);
    }
    loop {
        if walk.rest[walk.at..].starts_with('/') {
            return Err(Error::Escapes);
        }
        if let Some(place) = walk.step(last)? {
            return Ok(place);
        }
    }
}

struct Walk<'t, T: Tree> {
    tree: &'t T,
    above: Vec<T::Node>,
    /// The path, symlinks replaced by their targets; the part from `at` on is not walked yet. Many short names
    /// behind long symlinks take linear time so.
    rest: String,
    at: usize,
    symlinks: usize,
    steps: usize,
}

impl<T: Tree> Walk<'_, T> {
    /// Takes the next name; the place, if it is the last one.
    fn step(&mut self, last: Last) -> Result<Option<Place<T::Node>>> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(Error::Loop);
        }
        let rest = std::mem::take(&mut self.rest);
        let tail = &rest[self.at..];
        let (name, after) = match tail.split_once('/') {
            Some((name, after)) => (name, Some(after.trim_start_matches('/'))),
            None => (tail, None),
        };
        let (is_last, slash) = (after.is_none_or(str::is_empty), after.is_some());
        let next = rest.len() - after.map_or(0, str::len);
        match name {
            "." if is_last => return self.at_directory(Name::Dot, slash),
            "." => (self.rest, self.at) = (rest, next),
            ".." => {
                self.above.pop();
                if self.above.is_empty() {
                    return Err(Error::Escapes);
                }
                if is_last {
                    return self.at_directory(Name::DotDot, slash);
                }
                (self.rest, self.at) = (rest, next);
            }
            _ if name.len() > MAX_NAME => return Err(Error::NameTooLong),
            _ => {
                let node = self.child(name)?;
                return if is_last {
                    self.at_last(name, slash, node, last)
                } else {
                    self.enter(node.ok_or(Error::NotFound)?, rest, next).map(|()| None)
                };
            }
        }
        Ok(None)
    }

    fn child(&self, name: &str) -> Result<Option<T::Node>> {
        let directory = self.above.last().ok_or(Error::Escapes)?;
        self.tree.child(directory, name)
    }

    /// Goes on in a directory, or in what a symlink leads to.
    fn enter(&mut self, node: T::Node, rest: String, next: usize) -> Result<()> {
        match self.tree.kind(&node) {
            FileType::Directory => {
                self.above.push(node);
                (self.rest, self.at) = (rest, next);
                Ok(())
            }
            FileType::Symlink => self.follow(&node, &format!("/{}", &rest[next..])),
            _ => Err(Error::NotDirectory),
        }
    }

    fn at_last(
        &mut self,
        name: &str,
        slash: bool,
        node: Option<T::Node>,
        last: Last,
    ) -> Result<Option<Place<T::Node>>> {
        let kind = node.as_ref().map(|node| self.tree.kind(node));
        let follows = match last {
            Last::Looked(follow) => slash || follow == Follow::Yes,
            Last::Created(follow) => !slash && follow == Follow::Yes,
            Last::Named => false,
        };
        match (&node, kind) {
            (Some(link), Some(FileType::Symlink)) if follows => {
                self.follow(link, if slash { "/" } else { "" })?;
                return Ok(None);
            }
            (Some(_), Some(FileType::Directory)) | (None, _) => {}
            _ if slash && matches!(last, Last::Looked(_)) => return Err(Error::NotDirectory),
            _ => {}
        }
        let above = std::mem::take(&mut self.above);
        Ok(Some(Place { above, name: Name::Normal(name.to_owned()), node, slash }))
    }

    /// The place of the directory that the walk has come to, by a name that is none.
    fn at_directory(&mut self, name: Name, slash: bool) -> Result<Option<Place<T::Node>>> {
        let above = std::mem::take(&mut self.above);
        let node = above.last().cloned();
        Ok(Some(Place { above, name, node, slash }))
    }

    fn follow(&mut self, link: &T::Node, after: &str) -> Result<()> {
        self.symlinks += 1;
        if self.symlinks > MAX_SYMLINKS {
            return Err(Error::Loop);
        }
        let target = self.tree.target(link)?;
        if target.is_empty() {
            return Err(Error::NotFound);
        }
        (self.rest, self.at) = (target + after, 0);
        Ok(())
    }
}
