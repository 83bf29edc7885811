// Builds the pages into dist/: HTML that never caches, assets whose name changes with their content, and the SDK under a name that stays.
import { build } from 'esbuild';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const pages = ['index.html', 'watch.html', 'studio.html'];
const sources = ['style.css', 'audience.css', 'studio.css', 'index.ts', 'watch.ts', 'audience.ts', 'studio.ts'];
const settings = {
  absWorkingDir: here,
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022', 'chrome100', 'firefox100', 'safari15.4'],
  legalComments: 'none',
  metafile: true,
};

await rm(dist, { recursive: true, force: true });
const [built, sdk] = await Promise.all([
  build({ ...settings, entryPoints: sources.map((name) => `src/${name}`), entryNames: '[name]-[hash]', outdir: 'dist/assets' }),
  build({ ...settings, entryPoints: ['src/sdk/index.ts'], outfile: 'dist/sdk/nowcast-events.js' }),
]);

const assets = new Map();
for (const [path, { entryPoint }] of Object.entries({ ...built.metafile.outputs, ...sdk.metafile.outputs })) {
  // The SDK's entry has the list's name.
  if (dirname(entryPoint) === 'src') assets.set(basename(entryPoint), `/assets/${basename(path)}`);
  const bytes = await readFile(join(here, path));
  console.log(`${path}  ${bytes.length} bytes, ${gzipSync(bytes).length} gzipped`);
}

await mkdir(dist, { recursive: true });
for (const page of pages) {
  const html = await readFile(join(here, 'src', page), 'utf8');
  const linked = html.replace(/\{\{(.+?)\}\}/g, (_, source) => {
    const asset = assets.get(source);
    if (!asset) throw new Error(`src/${page} names ${source}, which is not built`);
    return asset;
  });
  await writeFile(join(dist, page), linked);
}
