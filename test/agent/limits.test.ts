/** How much an Ollama takes on, as its environment says. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { Limits, limitsIn } from '../../src/agent/limits.ts'
import { modelsFolders, ollamaEnvironment } from '../../src/config.ts'

const own = { OLLAMA_NUM_PARALLEL: '7' }

/** A process that listens, called as the test likes. */
async function listener(t: Test, name: string, host: string, env: NodeJS.ProcessEnv): Promise<number> {
  const script = `process.title = '${name}'
    const s = require('net').createServer().listen(0, '${host}', () => console.log(s.address().port))`
  const child: ChildProcess = spawn(process.execPath, ['-e', script], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return new Promise(resolve => child.stdout!.once('data', data => resolve(Number(String(data)))))
}

t.test('texts are read as Ollama reads them', async t => {
  t.same(
    limitsIn({
      OLLAMA_NUM_PARALLEL: ' "4" ',
      OLLAMA_MAX_LOADED_MODELS: '2',
      OLLAMA_MAX_QUEUE: '512',
      OLLAMA_KEEP_ALIVE: "'-1'",
      OLLAMA_CONTEXT_LENGTH: '8192',
    }),
    { numParallel: 4, maxLoadedModels: 2, maxQueue: 512, keepAlive: '-1', contextLength: 8_192 },
  )
  t.same(limitsIn({ OLLAMA_NUM_PARALLEL: '0', OLLAMA_MAX_QUEUE: '-1', OLLAMA_KEEP_ALIVE: '' }), {})
  t.same(
    limitsIn({ OLLAMA_NUM_PARALLEL: 'four', OLLAMA_CONTEXT_LENGTH: '1e9', OLLAMA_MAX_QUEUE: '9'.repeat(30) }),
    {},
  )
  t.equal(limitsIn({ OLLAMA_KEEP_ALIVE: 'x'.repeat(1_000) }).keepAlive!.length, 32)
})

t.test('of an environment only these variables are taken', async t => {
  const env = { OLLAMA_NUM_PARALLEL: '4', OLLAMA_HOST: 'h', OLLAMA_API_KEY: 'secret', PATH: '/bin' }
  t.same(ollamaEnvironment(env), { OLLAMA_NUM_PARALLEL: '4' })
  t.same(modelsFolders('/home/me', {}), ['/home/me/.ollama/models', '/usr/share/ollama/.ollama/models'])
  t.equal(modelsFolders('/home/me', { OLLAMA_MODELS: '/disk' })[0], '/disk')
})

t.test(
  'the server’s own environment is read where it may be',
  { skip: process.platform !== 'linux' },
  async t => {
    const env = {
      ...process.env,
      NOT_OLLAMA_NUM_PARALLEL: '9',
      SECRET: 'OLLAMA_MAX_QUEUE=5',
      OLLAMA_NUM_PARALLEL: '3',
      OLLAMA_KEEP_ALIVE: '1h',
    }
    for (const host of ['127.0.0.1', '0.0.0.0', '::']) {
      const port = await listener(t, 'ollama', host, env)
      for (const name of ['127.0.0.1', 'localhost']) {
        const limits = new Limits({ url: `http://${name}:${port}`, own })
        t.same(await limits.read(), { numParallel: 3, keepAlive: '1h' }, `${name} of ${host}`)
        t.same(await limits.read(), { numParallel: 3, keepAlive: '1h' })
      }
    }
    const plain = await listener(t, 'ollama', '127.0.0.1', { PATH: '/bin' })
    t.equal(
      await new Limits({ url: `http://127.0.0.1:${plain}`, own }).read(),
      undefined,
      'it has none, so ours do not hold',
    )
  },
)

t.test('the environment of anybody else is not', { skip: process.platform !== 'linux' }, async t => {
  const env = { OLLAMA_NUM_PARALLEL: '3' }
  const port = await listener(t, 'nginx', '127.0.0.1', env)
  t.same(await new Limits({ url: `http://127.0.0.1:${port}`, own }).read(), { numParallel: 7 })
  t.same(
    await new Limits({ url: 'http://192.0.2.1:11434', own }).read(),
    { numParallel: 7 },
    'another machine',
  )
  t.same(await new Limits({ url: 'http://127.0.0.1:1', own }).read(), { numParallel: 7 }, 'nobody')
  t.equal(await new Limits({ url: 'http://127.0.0.1:1', own: {} }).read(), undefined)
})

t.test('a server that was started anew is read anew; what may not be read is unknown', async t => {
  const proc = t.testdir()
  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(proc, path)), { recursive: true })
    writeFileSync(join(proc, path), text)
  }
  const tcp = (inode: string, local = '0100007F:2CAA'): string =>
    `  sl  local_address rem_address   st\n   0: ${local} 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000 0 ${inode} 1\n`
  const process = (pid: string, inode: string, environ: string, name = 'ollama'): void => {
    put(`${pid}/comm`, `${name}\n`)
    put(`${pid}/environ`, environ)
    mkdirSync(join(proc, pid, 'fd'))
    symlinkSync(`socket:[${inode}]`, join(proc, pid, 'fd', '3'))
  }
  const limits = new Limits({ url: 'http://127.0.0.1:11434', own, proc })
  t.same(await limits.read(), { numParallel: 7 }, 'no such tables')
  put('net/tcp', tcp('100'))
  process('10', '99', 'OLLAMA_NUM_PARALLEL=1\0')
  process('11', '100', 'A=OLLAMA_NUM_PARALLEL=8\0OLLAMA_NUM_PARALLEL=2\0OLLAMA_MAX_QUEUE=', 'ollama')
  t.same(await limits.read(), { numParallel: 2 })
  writeFileSync(join(proc, '11/environ'), '')
  t.same(await limits.read(), { numParallel: 2 }, 'it is not read again')
  process('12', '101', `HUGE=${'x'.repeat(300_000)}\0OLLAMA_NUM_PARALLEL=5`)
  put('net/tcp', tcp('101'))
  t.same(await limits.read(), { numParallel: 5 })
  put('net/tcp', '')
  put('net/tcp6', tcp('102', '00000000000000000000000001000000:2CAA'))
  process('13', '102', 'OLLAMA_NUM_PARALLEL=6\0')
  t.same(await limits.read(), { numParallel: 7 }, 'that is another address')
  t.same(await new Limits({ url: 'http://[::1]:11434', own, proc }).read(), { numParallel: 6 })
  put('net/tcp6', tcp('102', '0000000000000000FFFF00000100007F:2CAA'))
  t.same(await limits.read(), { numParallel: 6 })
})
