/** What a models folder says, whatever lies in it. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { ModelsFolder } from '../../src/agent/models.ts'
import { systemClock } from '../../src/clock.ts'
import { startSim } from '../../src/sim/sim.ts'
import { shipped } from '../../src/sim/store.ts'

const HOME = 'registry.ollama.ai/library'
const CONFIG = 'application/vnd.docker.container.image.v1+json'
const MODEL = 'application/vnd.ollama.image.model'
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
/** Long ago, so that what is read of it is believed. */
const LONG_AGO = new Date('2026-01-01T00:00:00Z')

interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

function put(dir: string, path: string, content: string): string {
  const file = join(dir, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, content)
  utimesSync(file, LONG_AGO, LONG_AGO)
  return file
}

function blob(dir: string, content: string, mediaType = MODEL): Blob {
  const digest = `sha256:${sha256(content)}`
  put(dir, `blobs/${digest.replace(':', '-')}`, content)
  return { mediaType, digest, size: Buffer.byteLength(content) }
}

/** As Ollama writes it: JSON, and a newline. */
function manifest(dir: string, path: string, layers: readonly object[], config: object | undefined): string {
  const held = {
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config,
    layers,
  }
  const text = `${JSON.stringify(held)}\n`
  put(dir, `manifests/${path}`, text)
  return sha256(text)
}

const folder = (dir: string): ModelsFolder => new ModelsFolder({ clock: systemClock, dir })

function store(t: Test): string {
  const dir = t.testdir({ manifests: {}, blobs: {} })
  return dir
}

/** How many bytes this process reads meanwhile, as its kernel counts. */
async function readIn(run: () => Promise<unknown>): Promise<number> {
  const count = (): number => Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1])
  const before = count()
  await run()
  return count() - before
}

t.test('a model is told by the name that Ollama shows, with its digest, size and blobs', async t => {
  const dir = store(t)
  const [weights, config] = [blob(dir, 'weights'), blob(dir, '{}', CONFIG)]
  const license = blob(dir, 'MIT', 'application/vnd.ollama.image.license')
  const paths = ['llama3/8b', 'Mixed-Case/Q4_K_M']
  const digests = paths.map(path => manifest(dir, `${HOME}/${path}`, [weights, license, license], config))
  manifest(dir, 'registry.ollama.ai/me/x/latest', [weights], config)
  manifest(dir, '127.0.0.1:18500/library/x/v1', [weights], config)
  manifest(dir, 'hf.co/some/repo-GGUF/Q4', [weights], undefined)
  const models = (await folder(dir).read())!
  t.same(
    models.map(({ name }) => name),
    [
      '127.0.0.1:18500/library/x:v1',
      'Mixed-Case:Q4_K_M',
      'hf.co/some/repo-GGUF:Q4',
      'llama3:8b',
      'me/x:latest',
    ],
  )
  t.same(models[3], {
    name: 'llama3:8b',
    digest: digests[0],
    sizeBytes: 7 + 3 + 3 + 2,
    blobs: [
      { digest: weights.digest, sizeBytes: 7, mediaType: MODEL, present: true },
      { digest: license.digest, sizeBytes: 3, mediaType: license.mediaType, present: true },
      { digest: config.digest, sizeBytes: 2, mediaType: CONFIG, present: true },
    ],
  })
  t.equal(models[2]!.blobs.length, 1)
})

t.test('it agrees with /api/tags of an Ollama with the same models', async t => {
  const dir = store(t)
  const names = ['tiny:latest', 'embed:latest', 'llama3:8b', 'me/think:v2']
  const sim = await startSim({ models: names.join() })
  t.teardown(() => sim.close())
  for (const name of names) {
    const { layers, config } = shipped(1, { name })
    const [, namespace = 'library', model, tag] = /^(?:([^/]+)\/)?([^:]+):(.+)$/.exec(name)!
    manifest(dir, `registry.ollama.ai/${namespace}/${model}/${tag}`, layers, config)
  }
  const { models: rows } = (await (await fetch(`${sim.url}/api/tags`)).json()) as {
    models: { name: string; digest: string; size: number }[]
  }
  const told = (await folder(dir).read())!.map(({ name, digest, sizeBytes }) => ({
    name,
    digest,
    size: sizeBytes,
  }))
  const listed = rows.map(({ name, digest, size }) => ({ name, digest, size }))
  t.same(
    told,
    listed.sort((a, b) => (a.name < b.name ? -1 : 1)),
  )
})

t.test('a blob is present when its file is there and as long as it should be', async t => {
  const dir = store(t)
  const [whole, short, partial, absent] = ['whole', 'short', 'partial', 'absent'].map(text => blob(dir, text))
  const file = ({ digest }: Blob): string => join(dir, 'blobs', digest.replace(':', '-'))
  truncateSync(file(short!), 2)
  renameSync(file(partial!), `${file(partial!)}-partial`)
  writeFileSync(`${file(partial!)}-partial-0`, '{"N":0,"Offset":0,"Size":7,"Completed":3}')
  unlinkSync(file(absent!))
  mkdirSync(file(absent!))
  manifest(dir, `${HOME}/m/latest`, [whole!, short!, partial!, absent!], undefined)
  const [model] = (await folder(dir).read())!
  t.same(
    model!.blobs.map(({ present }) => present),
    [true, false, false, false],
  )
})

t.test('junk is passed over', async t => {
  const dir = store(t)
  const good = blob(dir, 'good')
  manifest(dir, `${HOME}/good/latest`, [good], undefined)
  put(dir, 'manifests/.DS_Store', 'x')
  put(dir, `manifests/${HOME}/stray`, 'x')
  put(dir, `manifests/${HOME}/empty/latest`, '')
  put(dir, `manifests/${HOME}/half/latest`, '{"layers":[')
  put(dir, `manifests/${HOME}/list/latest`, '[]')
  put(dir, `manifests/${HOME}/null/latest`, 'null')
  put(dir, `manifests/${HOME}/deep/er/still`, '{}')
  put(dir, `manifests/${HOME}/a b/latest`, '{}')
  put(dir, `manifests/${HOME}/-x/latest`, '{}')
  put(dir, `manifests/${HOME}/good/latest~`, '{}')
  put(dir, `manifests/${HOME}/good/.latest.swp`, '{}')
  mkdirSync(join(dir, 'manifests', HOME, 'hollow'))
  execFileSync('mkfifo', [join(dir, 'manifests', HOME, 'good', 'pipe')])
  const big = put(dir, `manifests/${HOME}/big/latest`, '{"layers":[]}')
  truncateSync(big, 50_000_000_000)
  t.same(
    (await folder(dir).read())!.map(({ name }) => name),
    ['good:latest'],
  )
})

t.test('a manifest that names what is no digest names nothing', async t => {
  const dir = store(t)
  const good = blob(dir, 'good')
  const odd: readonly object[] = [
    { digest: 'sha256:../../../../etc/passwd', size: 1 },
    { digest: `sha256-${'a'.repeat(64)}`, size: 1 },
    { digest: good.digest, size: -1 },
    { digest: good.digest, size: '4' },
    { digest: 5, size: 1 },
    {},
  ]
  for (const [i, row] of odd.entries()) manifest(dir, `${HOME}/odd/${i}`, [good, row], undefined)
  manifest(dir, `${HOME}/odd/null`, [null as never], undefined)
  put(
    dir,
    `manifests/${HOME}/odd/upper`,
    JSON.stringify({ layers: [{ ...good, digest: good.digest.toUpperCase().replace('SHA', 'sha') }] }),
  )
  const models = (await folder(dir).read())!
  for (const { name, blobs, digest } of models.slice(0, -1)) t.same([blobs, digest.length], [[], 64], name)
  t.match(models.at(-1), { name: 'odd:upper', blobs: [{ digest: good.digest, present: true }] })
  t.equal(models.length, odd.length + 2)
})

t.test('links count where they stay inside', async t => {
  const disk = t.testdir({ large: { blobs: {}, manifests: {} }, small: {}, outside: {} })
  const [large, small, outside] = ['large', 'small', 'outside'].map(name => join(disk, name)) as [
    string,
    string,
    string,
  ]
  const [a, b, secret] = [blob(large, 'a'), blob(large, 'b'), blob(outside, 'secret')]
  for (const part of ['blobs', 'manifests']) symlinkSync(join(large, part), join(small, part))
  manifest(large, `${HOME}/plain/latest`, [a, b, secret], undefined)
  const within = join(large, 'manifests', HOME)
  symlinkSync('latest', join(within, 'plain', 'again'))
  symlinkSync('plain', join(within, 'alias'))
  manifest(outside, `${HOME}/secret/latest`, [a], undefined)
  symlinkSync(join(outside, 'manifests', HOME, 'secret'), join(within, 'secret'))
  symlinkSync(join(outside, 'manifests', HOME, 'secret', 'latest'), join(within, 'plain', 'stolen'))
  symlinkSync('nowhere', join(within, 'plain', 'broken'))
  symlinkSync('loop', join(within, 'loop'))
  const file = ({ digest }: Blob): string => digest.replace(':', '-')
  unlinkSync(join(large, 'blobs', file(b)))
  symlinkSync(file(a), join(large, 'blobs', file(b)))
  symlinkSync(join(outside, 'blobs', file(secret)), join(large, 'blobs', file(secret)))
  const models = (await folder(small).read())!
  t.same(
    models.map(({ name }) => name),
    ['alias:again', 'alias:latest', 'plain:again', 'plain:latest'],
  )
  t.same(
    models.at(-1)!.blobs.map(({ present }) => present),
    [true, true, false],
  )
})

t.test('a folder that is none is unknown; without a blobs folder, blobs are', async t => {
  const dir = store(t)
  manifest(dir, `${HOME}/m/latest`, [], undefined)
  t.equal(await folder(join(dir, 'nowhere')).read(), undefined)
  t.equal(await folder(join(dir, 'manifests', HOME, 'm', 'latest')).read(), undefined)
  t.equal((await folder(dir).read())!.length, 1)
  t.same(await folder(store(t)).read(), [])
  const bare = t.testdir({ manifests: {} })
  manifest(bare, `${HOME}/m/latest`, [blob(dir, 'x')], undefined)
  t.match(
    await folder(bare).read(),
    [{ name: 'm:latest', blobs: [] }],
    'without a blobs folder they are unknown',
  )
})

t.test('what may not be read is unknown', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'quipu-models-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  chmodSync(dir, 0o755)
  manifest(dir, `${HOME}/m/latest`, [blob(dir, 'x')], undefined)
  const shut = manifest(dir, `${HOME}/shut/latest`, [], undefined)
  chmodSync(join(dir, 'manifests', HOME, 'shut', 'latest'), 0)
  t.match(await asNobody(() => folder(dir).read()), [{ name: 'm:latest', blobs: [{ present: true }] }])
  chmodSync(join(dir, 'blobs'), 0)
  const [blind] = (await asNobody(() => folder(dir).read()))!
  t.same([blind!.name, blind!.blobs], ['m:latest', []])
  chmodSync(join(dir, 'manifests'), 0)
  t.equal(await asNobody(() => folder(dir).read()), undefined)
  for (const path of ['manifests', 'blobs', `manifests/${HOME}/shut/latest`])
    chmodSync(join(dir, path), 0o755)
  t.match(await folder(dir).read(), [{ blobs: [{ present: true }] }, { digest: shut }])
})

/** Root may read everything. */
async function asNobody<T>(run: () => Promise<T>): Promise<T> {
  if (process.getuid?.() !== 0) return run()
  process.seteuid!(65_534)
  try {
    return await run()
  } finally {
    process.seteuid!(0)
  }
}

t.test(
  'what is unchanged is not read again; what is changed is',
  { skip: process.platform !== 'linux' },
  async t => {
    const dir = store(t)
    const layer = blob(dir, 'weights')
    for (let i = 0; i < 200; i += 1)
      manifest(dir, `${HOME}/m${i}/latest`, [layer, { ...layer, pad: 'x'.repeat(2_000) }], undefined)
    utimesSync(join(dir, 'blobs'), LONG_AGO, LONG_AGO)
    const models = folder(dir)
    t.ok((await readIn(() => models.read())) > 400_000)
    t.ok((await readIn(() => models.read())) > 400_000, 'what was written just now is not believed')
    await new Promise(resolve => setTimeout(resolve, 2_100)) // nobody can set the time of a change
    await models.read()
    const bytes = await readIn(() => models.read())
    t.ok(bytes < 20_000, `${bytes} bytes were read`)
    const digest = manifest(dir, `${HOME}/m7/latest`, [], undefined)
    rmSync(join(dir, 'manifests', HOME, 'm8'), { recursive: true })
    unlinkSync(join(dir, 'blobs', layer.digest.replace(':', '-')))
    const now = (await models.read())!
    t.equal(now.length, 199)
    t.equal(now.find(({ name }) => name === 'm7:latest')!.digest, digest)
    t.match(now[0]!.blobs, [{ present: false }])
  },
)

t.test('what was written within a tick of the file system’s clock is read again', async t => {
  const dir = store(t)
  const path = `manifests/${HOME}/m/latest`
  const models = folder(dir)
  for (const text of ['{"layers":[],"a":1}', '{"layers":[],"a":2}', '{"layers":[],"a":3}']) {
    const file = put(dir, path, text)
    utimesSync(file, new Date(), new Date())
    t.equal((await models.read())![0]!.digest, sha256(text))
  }
})

t.test('a folder without end is read up to a point', async t => {
  const dir = store(t)
  const text = '{"layers":[]}'
  for (let i = 0; i < 5_300; i += 1) put(dir, `manifests/${HOME}/m${i % 53}/t${i}`, text)
  const models = (await folder(dir).read())!
  t.ok(models.length <= 5_000 && models.length > 4_000, `${models.length}`)
  t.equal(readdirSync(join(dir, 'manifests', HOME)).length, 53)
})
