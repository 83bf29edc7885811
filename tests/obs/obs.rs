//! OBS Studio with a home of its own.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A running OBS, with its display; both go with the value.
pub(crate) struct Obs {
    xvfb_run: Child,
    home: TempDir,
}

/// No first-run wizard, and the profile and scenes below.
const GLOBAL: &str = "[General]\nFirstRun=true\nLastVersion=486539266\nEnableAutoUpdates=false\n\
    [Basic]\nProfile=test\nProfileDir=test\nSceneCollection=test\nSceneCollectionFile=test\n";

/// What differs from the defaults: a picture small enough for software GL on two cores.
const PROFILE: &str = "[General]\nName=test\n\
    [Video]\nBaseCX=640\nBaseCY=360\nOutputCX=640\nOutputCY=360\nFPSType=0\nFPSCommon=30\n\
    [Audio]\nSampleRate=48000\n\
    [Output]\nMode=Simple\n\
    [SimpleOutput]\nVBitrate=800\nABitrate=96\nStreamEncoder=x264\nPreset=ultrafast\n";

const SCENES: &str = r#"{
    "name": "test", "current_scene": "Scene", "current_program_scene": "Scene",
    "scene_order": [{ "name": "Scene" }],
    "sources": [
        { "id": "scene", "name": "Scene", "settings": { "id_counter": 1, "items": [
            { "name": "Colour", "id": 1, "visible": true, "pos": { "x": 0, "y": 0 }, "scale": { "x": 1, "y": 1 } }
        ] } },
        { "id": "color_source_v3", "versioned_id": "color_source_v3", "name": "Colour",
          "settings": { "color": 4278190335, "width": 640, "height": 360 } }
    ]
}"#;

impl Obs {
    /// Starts OBS streaming to a custom server.
    pub(crate) fn start(url: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |path: &str| home.path().join(path);
        let basic = at("config/obs-studio/basic");
        fs::create_dir_all(basic.join("profiles/test")).unwrap();
        fs::create_dir_all(basic.join("scenes")).unwrap();
        DirBuilder::new().mode(0o700).create(at("run")).unwrap();
        let service = serde_json::json!({
            "type": "rtmp_custom",
            "settings": { "server": url, "key": "", "use_auth": false },
        });
        fs::write(at("config/obs-studio/global.ini"), GLOBAL).unwrap();
        fs::write(basic.join("profiles/test/basic.ini"), PROFILE).unwrap();
        fs::write(basic.join("profiles/test/service.json"), service.to_string()).unwrap();
        fs::write(basic.join("scenes/test.json"), SCENES).unwrap();
        let log = File::create(at("log")).unwrap();
        let xvfb_run = Command::new("xvfb-run")
            .args(["-a", "-s", "-screen 0 1024x768x24", "obs", "--startstreaming"])
            .args(["--minimize-to-tray", "--multi", "--disable-updater"])
            .env("HOME", home.path())
            .env("XDG_CONFIG_HOME", at("config"))
            .env("XDG_RUNTIME_DIR", at("run"))
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("QT_QPA_PLATFORM", "xcb")
            .env_remove("WAYLAND_DISPLAY")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            // One group for the shell, the display and OBS, to be ended together.
            .process_group(0)
            .spawn()
            .expect("xvfb and obs-studio are installed: ./x setup");
        Self { xvfb_run, home }
    }

    /// What OBS has to say.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Obs {
    fn drop(&mut self) {
        let group = format!("-{}", self.xvfb_run.id());
        Command::new("kill").args(["-s", "KILL", "--", &group]).status().ok();
        self.xvfb_run.wait().ok();
    }
}
