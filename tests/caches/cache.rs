//! nginx and varnishd with the configurations of `deploy/`; only addresses and paths are other ones.

use std::fs::{self, File, Permissions};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running cache; it ends with the value.
pub(crate) struct Cache {
    child: Child,
    dir: TempDir,
    pub(crate) address: SocketAddr,
}

impl Cache {
    pub(crate) fn nginx(origin: SocketAddr) -> Self {
        let (dir, address) = (folder(), free_address());
        let path = dir.path().to_str().unwrap();
        // Folders of its own, which it may write to whoever runs it.
        let own = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {path}/{name};"))
            .join(" ");
        let config = replaced(
            include_str!("../../deploy/nginx/nginx.conf"),
            &[
                ("user www-data;", "daemon off;"),
                ("http {\n", &format!("http {{\n    {own}\n")),
                ("/run/nginx.pid", &format!("{path}/pid")),
                ("/var/log/nginx/access.log", &format!("{path}/access.log")),
                ("/var/log/nginx/error.log", "stderr"),
                ("/var/lib/nginx", path),
                ("/etc/nginx/?.lua", &format!("{path}/?.lua")),
                ("listen 80 ", &format!("listen {address} ")),
                ("server 127.0.0.1:8080;", &format!("server {origin};")),
            ],
        );
        fs::write(dir.path().join("nginx.conf"), config).unwrap();
        let lua = include_str!("../../deploy/nginx/collapse.lua");
        fs::write(dir.path().join("collapse.lua"), lua).unwrap();
        let mut command = Command::new("/usr/sbin/nginx");
        command.args(["-e", "stderr", "-c"]).arg(dir.path().join("nginx.conf"));
        Self::start(command, dir, address)
    }

    pub(crate) fn varnish(origin: SocketAddr) -> Self {
        let (dir, address) = (folder(), free_address());
        let config = replaced(
            include_str!("../../deploy/varnish/default.vcl"),
            &[("\"8080\"", &format!("\"{}\"", origin.port()))],
        );
        fs::write(dir.path().join("default.vcl"), config).unwrap();
        let mut command = Command::new("/usr/sbin/varnishd");
        command.args(["-F", "-j", "none", "-s", "malloc,256M", "-a", &address.to_string(), "-n"]);
        command.arg(dir.path().join("work")).arg("-f").arg(dir.path().join("default.vcl"));
        Self::start(command, dir, address)
    }

    /// Waits until it accepts connections.
    fn start(mut command: Command, dir: TempDir, address: SocketAddr) -> Self {
        let log = File::create(dir.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{} does not start ({error}): ./x setup test", command.get_program().display())
        });
        let mut cache = Self { child, dir, address };
        let patience = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            let ended = cache.child.try_wait().unwrap();
            assert!(ended.is_none(), "the cache ended at once (missing a module? ./x setup test)");
            assert!(Instant::now() < patience, "the cache does not listen on {address}");
            thread::sleep(Duration::from_millis(10));
        }
        cache
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        // By TERM, which ends its workers too.
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-s", "TERM", &pid]).status().ok();
        self.child.wait().ok();
        if thread::panicking() {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            eprintln!("what the cache said:\n{log}");
        }
    }
}

/// A folder that the cache's unprivileged processes may enter.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    set_mode(dir.path(), 0o777);
    dir
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The configuration with other addresses and paths; each must be in it.
fn replaced(config: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(config.to_owned(), |config, (old, new)| {
        assert!(config.contains(old), "the configuration has no \"{old}\" any more");
        config.replace(old, new)
    })
}
