//! The table: every route of the Engine API up to 1.41, those newer command lines call, and those of classic Swarm.
//!
//! Sources: the Engine API reference (docs.docker.com/reference/api/engine) and spec/classic.md section 4.2. Routes
//! that swarm does not serve are here too: they are answered with 501, not with 404.

use std::fmt;

/// The request methods of the Engine API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Get, Self::Head, Self::Post, Self::Put, Self::Delete];

    /// The method called `name`; methods are case-sensitive (RFC 9110 section 9.1).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row of the table: what it is called, its method, and its path or what follows the name in its path.
pub(super) trait Row: Copy + 'static {
    const ALL: &'static [Self];
    fn method(self) -> Method;
    fn path(self) -> &'static str;
    fn template(self) -> &'static str;
}

macro_rules! routes {
    ($(#[$doc:meta])* $name:ident at $prefix:literal { $($variant:ident = $method:ident $path:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $(
                #[doc = concat!("`", stringify!($method), " ", $prefix, $path, "`")]
                $variant,
            )+
        }

        impl Row for $name {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn method(self) -> Method {
                match self {
                    $(Self::$variant => Method::$method,)+
                }
            }

            fn path(self) -> &'static str {
                match self {
                    $(Self::$variant => $path,)+
                }
            }

            fn template(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($prefix, $path),)+
                }
            }
        }
    };
}

routes! {
    /// Routes whose path holds no name.
    Fixed at "" {
        Ping = Get "/_ping",
        Info = Get "/info",
        Version = Get "/version",
        Events = Get "/events",
        DiskUsage = Get "/system/df",
        Auth = Post "/auth",
        Session = Post "/session",
        Grpc = Post "/grpc",
        Build = Post "/build",
        BuildCancel = Post "/build/cancel",
        BuildPrune = Post "/build/prune",
        Commit = Post "/commit",
        ContainerList = Get "/containers/json",
        ContainerCreate = Post "/containers/create",
        ContainerPrune = Post "/containers/prune",
        ImageList = Get "/images/json",
        ImageViz = Get "/images/viz",
        ImageSearch = Get "/images/search",
        ImageSave = Get "/images/get",
        ImageCreate = Post "/images/create",
        ImageLoad = Post "/images/load",
        ImagePrune = Post "/images/prune",
        NetworkList = Get "/networks",
        NetworkCreate = Post "/networks/create",
        NetworkPrune = Post "/networks/prune",
        VolumeList = Get "/volumes",
        VolumeCreate = Post "/volumes/create",
        VolumePrune = Post "/volumes/prune",
        PluginList = Get "/plugins",
        PluginPrivileges = Get "/plugins/privileges",
        PluginPull = Post "/plugins/pull",
        PluginCreate = Post "/plugins/create",
        SwarmInspect = Get "/swarm",
        SwarmInit = Post "/swarm/init",
        SwarmJoin = Post "/swarm/join",
        SwarmLeave = Post "/swarm/leave",
        SwarmUpdate = Post "/swarm/update",
        SwarmUnlockKey = Get "/swarm/unlockkey",
        SwarmUnlock = Post "/swarm/unlock",
        NodeList = Get "/nodes",
        ServiceList = Get "/services",
        ServiceCreate = Post "/services/create",
        TaskList = Get "/tasks",
        SecretList = Get "/secrets",
        SecretCreate = Post "/secrets/create",
        ConfigList = Get "/configs",
        ConfigCreate = Post "/configs/create",
    }
}

routes! {
    /// Routes of one container.
    ContainerAction at "/containers/{name}" {
        Inspect = Get "/json",
        Top = Get "/top",
        Logs = Get "/logs",
        Stats = Get "/stats",
        Changes = Get "/changes",
        Export = Get "/export",
        ArchiveGet = Get "/archive",
        ArchiveHead = Head "/archive",
        ArchivePut = Put "/archive",
        AttachWebsocket = Get "/attach/ws",
        Attach = Post "/attach",
        Copy = Post "/copy",
        Exec = Post "/exec",
        Kill = Post "/kill",
        Pause = Post "/pause",
        Rename = Post "/rename",
        Resize = Post "/resize",
        Restart = Post "/restart",
        Start = Post "/start",
        Stop = Post "/stop",
        Unpause = Post "/unpause",
        Update = Post "/update",
        Wait = Post "/wait",
        CheckpointList = Get "/checkpoints",
        CheckpointCreate = Post "/checkpoints",
        Remove = Delete "",
    }
}

routes! {
    /// Routes of one exec instance.
    ExecAction at "/exec/{id}" {
        Inspect = Get "/json",
        Resize = Post "/resize",
        Start = Post "/start",
    }
}

routes! {
    /// Routes of one image.
    ImageAction at "/images/{name}" {
        Inspect = Get "/json",
        History = Get "/history",
        Attestations = Get "/attestations",
        Save = Get "/get",
        Push = Post "/push",
        Tag = Post "/tag",
        Remove = Delete "",
    }
}

routes! {
    /// Routes of one network.
    NetworkAction at "/networks/{name}" {
        Inspect = Get "",
        Connect = Post "/connect",
        Disconnect = Post "/disconnect",
        Remove = Delete "",
    }
}

routes! {
    /// Routes of one volume.
    VolumeAction at "/volumes/{name}" {
        Inspect = Get "",
        Update = Put "",
        Remove = Delete "",
    }
}

routes! {
    /// Routes of one plugin.
    PluginAction at "/plugins/{name}" {
        Inspect = Get "/json",
        Enable = Post "/enable",
        Disable = Post "/disable",
        Upgrade = Post "/upgrade",
        Push = Post "/push",
        Set = Post "/set",
        Remove = Delete "",
    }
}

routes! {
    /// Routes of one object of swarm mode; which [`ObjectKind`] has which, see [`ObjectKind::has`].
    ObjectAction at "/{kind}/{id}" {
        Inspect = Get "",
        Logs = Get "/logs",
        Update = Post "/update",
        Remove = Delete "",
    }
}

/// The objects of swarm mode, Docker's own orchestration, which swarm does not serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `/nodes`
    Node,
    /// `/services`
    Service,
    /// `/tasks`
    Task,
    /// `/secrets`
    Secret,
    /// `/configs`
    Config,
}

impl ObjectKind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Node,
        Self::Service,
        Self::Task,
        Self::Secret,
        Self::Config,
    ];

    /// The first segment of its paths.
    #[must_use]
    pub const fn collection(self) -> &'static str {
        match self {
            Self::Node => "nodes",
            Self::Service => "services",
            Self::Task => "tasks",
            Self::Secret => "secrets",
            Self::Config => "configs",
        }
    }

    /// Whether the Engine API has this action for this kind of object.
    #[must_use]
    pub const fn has(self, action: ObjectAction) -> bool {
        match action {
            ObjectAction::Inspect => true,
            ObjectAction::Logs => matches!(self, Self::Service | Self::Task),
            ObjectAction::Update | ObjectAction::Remove => !matches!(self, Self::Task),
        }
    }
}
