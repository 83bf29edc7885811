//! Links the system's libsrt (Debian: `libsrt-gnutls-dev`).
fn main() {
    println!("cargo:rustc-link-lib=srt-gnutls");
    println!("cargo:rerun-if-changed=build.rs");
}
