/**
 * `quipu top` on a real terminal: keys go in, a screen comes out, and on every way out the terminal is as it was. The
 * terminal is that of script(1), which util-linux has; elsewhere these tests say so.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { OPEN } from '../../../src/cli/top/screen.ts'
import { houseProcess, simNode, standingOf } from '../../agent/processes.ts'
import { fakeHouse, json } from '../house.ts'
import { run } from '../terminal.ts'
import { Emulator } from './emulator.ts'
import { busy, heard } from './pictures.ts'

const MAIN = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url))
const script = spawnSync('script', ['--version'], { encoding: 'utf8' })
const absent = !/util-linux/.test(script.stdout ?? '') && 'needs script(1) of util-linux'

const ANSWERS: Readonly<Record<string, unknown>> = {
  'GET /quipu': busy.house,
  'GET /quipu/nodes': busy.nodes,
  'GET /quipu/models': busy.models,
  'GET /quipu/queue': busy.queue,
  'GET /quipu/queue/stats': busy.counts,
  'GET /quipu/transfers': busy.transfers,
  'GET /quipu/nodes/gpu-a/status': heard,
  'POST /quipu/nodes/gpu-a/drain': { ...busy.nodes[0], standing: 'draining', replicas: [] },
}

/** Long enough for a house to start on a busy machine. */
const LATE_MS = 30_000

interface Session {
  readonly terminal: Emulator
  /** The process of top itself. */
  readonly pid: number
  type(keys: string): void
  /** Resolves when the screen holds it. */
  saw(what: RegExp): Promise<void>
  resize(columns: number, rows: number): void
  /** What the shell around it says when it is over: its exit code, and how the terminal is set. */
  readonly ended: Promise<string>
}

async function session(
  t: Test,
  port: number,
  { columns = 80, rows = 24, flags = '', env = {} as Record<string, string> } = {},
): Promise<Session> {
  const top = `${process.execPath} ${MAIN} top --port ${port} --interval 250ms ${flags}`
  const command = `stty cols ${columns} rows ${rows}; sh -c 'echo "pid $$"; exec ${top}'; echo "code $?"; stty -a`
  const child: ChildProcess = spawn('script', ['-qefc', command, '/dev/null'], {
    env: {
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      TERM: 'xterm',
      LANG: 'C.UTF-8',
      TZ: 'UTC',
      SHELL: '/bin/sh',
      ...env,
    },
  })
  let terminal = new Emulator(columns, rows)
  let all = ''
  const looks = new Set<() => void>()
  child.stdout!.setEncoding('utf8').on('data', (bytes: string) => {
    all += bytes
    terminal.write(bytes)
    for (const look of looks) look()
  })
  const ended = once(child, 'close').then(() => all.slice(all.lastIndexOf('code ')))
  t.teardown(() => child.kill('SIGKILL'))
  const until = (is: () => boolean, what: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (!is()) return
        looks.delete(look)
        resolve()
      }
      looks.add(look)
      const late = setTimeout(() => reject(new Error(`never showed ${what}:\n${terminal.text}`)), LATE_MS)
      late.unref()
      void ended.then(() => reject(new Error(`ended, and never showed ${what}:\n${terminal.text}`)))
      look()
    })
  await until(() => /pid \d+\r\n/.test(all), 'its process')
  const pid = Number(/pid (\d+)/.exec(all)![1])
  return {
    get terminal() {
      return terminal
    },
    pid,
    ended,
    type: keys => void child.stdin!.write(keys),
    saw: what => until(() => what.test(terminal.text), String(what)),
    resize(wide, high) {
      terminal = new Emulator(wide, high)
      terminal.write(OPEN)
      // As a window manager does it: the terminal is told, and tells whoever runs in it.
      spawnSync('stty', ['-F', readlinkSync(`/proc/${pid}/fd/0`), 'cols', String(wide), 'rows', String(high)])
    },
  }
}

/** The line is as a shell wants it, and the screen is theirs. */
function restored(t: Test, { terminal }: Session, said: string, code: number): void {
  t.match(said, new RegExp(`^code ${code}\\b`))
  for (const mode of ['icanon', 'echo', 'isig']) t.match(said, new RegExp(`\\s${mode}\\s`))
  t.match(terminal, { alternate: false, cursor: true, wraps: true })
  t.same(terminal.unknown, [], 'nothing was written that a terminal does not know')
}

t.test('keys choose, drain, open, and leave', { skip: absent }, async t => {
  const house = await fakeHouse(t, ANSWERS)
  const top = await session(t, house.port)
  await top.saw(/▶ gpu-a +up .*\n +gpu-hot +throttled /)
  t.match(top.terminal, { alternate: true, cursor: false })
  top.type('d')
  await top.saw(/gpu-a gets nothing new; 2 requests still run there/)
  t.equal(house.asked.filter(({ method }) => method === 'POST').length, 1)
  top.type('\r')
  await top.saw(/GPU 0 .*RTX 4090/)
  top.type('\u007f')
  await top.saw(/▶ gpu-a/)
  top.type('\u001b[B')
  await top.saw(/▶ gpu-hot/)
  top.type('r')
  await top.saw(/answers, but not as a house does/)
  top.type('\t')
  await top.saw(/and 30 others/)
  top.type('?')
  await top.saw(/all about the chosen node/)
  top.type('q')
  restored(t, top, await top.ended, 0)
})

t.test(
  'of a real house: an answer that runs, a node that is drained, and work again',
  { skip: absent },
  async t => {
    const sims = [await simNode(t, { decodeTps: 20, words: 400 }), await simNode(t)]
    const nodes = sims.flatMap(({ url }, i) => ['--node', `${url},name=n${i + 1}`])
    const house = await houseProcess(t, { flags: nodes })
    const top = await session(t, Number(new URL(house.url).port))
    await top.saw(/2\/2 nodes up.*▶ n1 +up +0\n/s)
    const left = new AbortController()
    const body = JSON.stringify({ model: 'tiny', prompt: 'x' })
    const { signal } = left
    const answer = await fetch(`${house.url}/api/generate`, { method: 'POST', body, signal })
    const node = answer.headers.get('x-quipu-node')!
    await top.saw(new RegExp(`${node} +up +1 +tiny\\*1`))
    if (node === 'n2') top.type('j')
    await top.saw(new RegExp(`▶ ${node}`))
    top.type('d')
    await top.saw(new RegExp(`${node} gets nothing new; 1 request still run`))
    await top.saw(new RegExp(`▶ ${node} +draining`))
    t.equal(await standingOf(house, node), 'draining')
    top.type('r')
    await top.saw(new RegExp(`▶ ${node} +up`))
    t.equal(await standingOf(house, node), 'up')
    left.abort()
    await house.process.end('SIGKILL')
    await top.saw(/The house does not answer, since/)
    await house.again()
    await top.saw(/^quipu [^\n]*2\/2 nodes up[^\n]*\n +NODE/)
    top.type('q')
    restored(t, top, await top.ended, 0)
  },
)

for (const [how, end] of [
  ['Ctrl-C', (top: Session) => top.type('\u0003')],
  ['SIGTERM', ({ pid }: Session) => process.kill(pid, 'SIGTERM')],
  ['SIGINT', ({ pid }: Session) => process.kill(pid, 'SIGINT')],
  ['SIGHUP', ({ pid }: Session) => process.kill(pid, 'SIGHUP')],
] as const) {
  t.test(`${how} leaves the terminal as it was`, { skip: absent }, async t => {
    const house = await fakeHouse(t, ANSWERS)
    const top = await session(t, house.port)
    await top.saw(/▶ gpu-a/)
    end(top)
    restored(t, top, await top.ended, 0)
  })
}

t.test('a bug is told on their screen, and the terminal is as it was', { skip: absent }, async t => {
  const house = await fakeHouse(t, { ...ANSWERS, 'GET /quipu/models': 'no list at all' })
  const top = await session(t, house.port)
  const said = await top.ended
  restored(t, top, said, 70)
  t.match(top.terminal.text, /TypeError/)
})

t.test('another size of the window is a whole frame of that size', { skip: absent }, async t => {
  const house = await fakeHouse(t, ANSWERS)
  const top = await session(t, house.port)
  await top.saw(/▶ gpu-a/)
  top.resize(40, 10)
  await top.saw(/▶ gpu-a.*\n.*\n.*\n(?:.*\n)*\[nodes\]/)
  t.equal(top.terminal.text.split('\n').length, 10)
  top.resize(120, 40)
  await top.saw(/39\/52 GB/)
  top.type('q')
  restored(t, top, await top.ended, 0)
})

t.test('a house that goes away is waited for, and seen again', { skip: absent }, async t => {
  let away = false
  const index = (_asked: unknown, res: Parameters<typeof json>[0]): void => {
    if (away) res.destroy()
    else json(res, 200, busy.house)
  }
  const house = await fakeHouse(t, { ...ANSWERS, 'GET /quipu': index })
  const top = await session(t, house.port)
  await top.saw(/▶ gpu-a/)
  away = true
  await top.saw(/The house does not answer, since \d\d:\d\d:\d\d: no house answers.*▶ gpu-a/s)
  away = false
  await top.saw(/^quipu 0\.4\.0[^\n]*\n +NODE/)
  top.type('q')
  restored(t, top, await top.ended, 0)
})

t.test('stopped with Ctrl-Z it gives the terminal back, and takes it again', { skip: absent }, async t => {
  const house = await fakeHouse(t, ANSWERS)
  const top = await session(t, house.port)
  await top.saw(/▶ gpu-a/)
  top.type('\u001a')
  const stopped = (): boolean => / T /.test(readFileSync(`/proc/${top.pid}/stat`, 'utf8'))
  while (!stopped() || top.terminal.alternate) await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(top.terminal.cursor, true)
  process.kill(top.pid, 'SIGCONT')
  await top.saw(/▶ gpu-a/)
  top.type('q')
  restored(t, top, await top.ended, 0)
})

t.test('in the C locale it writes ASCII alone, and without colours where told', { skip: absent }, async t => {
  const house = await fakeHouse(t, ANSWERS)
  const top = await session(t, house.port, { env: { LANG: 'C', NO_COLOR: '1' } })
  await top.saw(/> gpu-a +up +####\. +75%/)
  t.match(top.terminal.text, /^[\x20-\x7e\n]*$/)
  top.type('q')
  restored(t, top, await top.ended, 0)
})

t.test('a dumb terminal gets sheets, one below the other', { skip: absent }, async t => {
  const house = await fakeHouse(t, ANSWERS)
  const top = await session(t, house.port, { rows: 60, env: { TERM: 'dumb' } })
  await top.saw(/QUEUE.*quipu 0\.4\.0/s)
  t.equal(top.terminal.alternate, false)
  process.kill(top.pid, 'SIGTERM')
  restored(t, top, await top.ended, 0)
})

t.test('without a terminal it prints once, and with --json one document', async t => {
  const house = await fakeHouse(t, ANSWERS)
  const text = await run(t, ['top'], { ...house.env, LANG: 'C.UTF-8' })
  t.same([text.code, text.err], [0, ''])
  t.matchSnapshot(text.out.replace(/127\.0\.0\.1:\d+/, 'HOUSE'))
  const { out } = await run(t, ['top', '--json'], house.env)
  t.match(JSON.parse(out), { house: busy.house, nodes: busy.nodes, transfers: busy.transfers })
})

t.test('without a terminal, a house that is away is exit code 1; so is nonsense code 2', async t => {
  t.match(await run(t, ['top', '--port', '1']), { code: 1, out: '', err: /no house answers/ })
  t.match(await run(t, ['top', '--interval', '1ms']), { code: 2, err: /too often/ })
  t.match(await run(t, ['top', '--interval', 'soon']), { code: 2, err: /--interval/ })
})
