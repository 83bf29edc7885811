//! The pages are embedded from `web/dist`; without this Cargo would not notice that they were built.

fn main() {
    // A directory that is missing counts as changed each time. Where it cannot be made, the pages
    // answer that they were not built.
    std::fs::create_dir_all("web/dist").unwrap_or_default();
    println!("cargo:rerun-if-changed=web/dist");
}
