use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What somebody may do; each role may do what the ones before it may.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Takes part.
    #[default]
    Viewer,
    /// Keeps order.
    Moderator,
    /// Runs the show.
    Host,
    /// Runs the server.
    Operator,
}

impl Role {
    /// The role as tokens and events name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Moderator => "moderator",
            Self::Host => "host",
            Self::Operator => "operator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who does something: the same person in every op that their token signs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Viewer {
    /// Names them in this room.
    pub id: Arc<str>,
    /// What others read; nobody vouches for an anonymous viewer's.
    pub name: Option<Arc<str>>,
    /// What they may do.
    pub role: Role,
    /// The server knows nothing of them but the token it gave.
    pub anonymous: bool,
}

impl Viewer {
    /// Whether they keep order, and so are held back by nothing.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.role >= Role::Moderator
    }
}

/// An event's author, as everybody sees them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct By {
    /// As [`Viewer::id`].
    pub id: Arc<str>,
    /// As [`Viewer::name`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// As [`Viewer::role`].
    pub role: Role,
}

impl From<&Viewer> for By {
    fn from(viewer: &Viewer) -> Self {
        Self { id: Arc::clone(&viewer.id), name: viewer.name.clone(), role: viewer.role }
    }
}
