import type { ServerResponse } from 'node:http'
import t from 'tap'
import { latest } from '../../../src/cli/models/pull.ts'
import { fakeHouse, json } from '../house.ts'
import { pulled, transfers } from '../recorded.ts'
import { run, start } from '../terminal.ts'

const [running, waiting, abandoned] = transfers
const POST = 'POST /quipu/models/pull'
const GET = 'GET /quipu/transfers'
const ordered = { ...pulled, already: [], excluded: [] }
const done = (row: object) => ({ ...row, state: 'completed', ms: 12_000 })

/** Answers that come one after the other; the last again and again. */
function inTurn(...answers: readonly unknown[]) {
  let next = 0
  return (_asked: unknown, res: ServerResponse): void => {
    const answer = answers[Math.min(next, answers.length - 1)]
    next += 1
    if (answer === 'gone') res.destroy()
    else json(res, 200, answer)
  }
}

t.test('a pull is watched to its end, and on a pipe each change of step is a line', async t => {
  const house = await fakeHouse(t, {
    [POST]: (_asked: unknown, res: ServerResponse) => json(res, 202, pulled),
    [GET]: inTurn(
      [running, waiting],
      [done(running), running && { ...running, id: waiting.id, node: 'gpu-b' }],
      [done(running), done(waiting)],
    ),
  })
  const { code, out, err } = await run(t, ['models', 'pull', 'llama3.2', '--nodes', 'gpu-a,gpu-b'], house.env)
  t.same([code, err], [0, ''])
  t.same(JSON.parse(house.asked[0]!.body), { model: 'llama3.2', nodes: ['gpu-a', 'gpu-b'] })
  t.equal(house.asked[1]!.url, '/quipu/transfers?model=llama3.2%3Alatest')
  t.same(out.trim().split('\n'), [
    'desk: has it already',
    'nas: left out, its policy avoids it',
    'gpu-a: 1.1 GB of 2.0 GB  38 MB/s  25.5 s left',
    'gpu-b: waiting: 1 download at a time, it is next',
    'gpu-a: done',
    'gpu-b: 1.1 GB of 2.0 GB  38 MB/s  25.5 s left',
    'gpu-b: done',
  ])
})

t.test('one that goes wrong ends with 1, in the words of the node', async t => {
  const house = await fakeHouse(t, {
    [POST]: { ...ordered, transfers: [{ ...abandoned, state: 'waiting' }] },
    [GET]: [abandoned],
  })
  const { code, out } = await run(t, ['models', 'pull', 'llama3.2'], house.env)
  t.equal(code, 1)
  t.match(out, /gpu-c: failed: .*no space left on device\n$/)
})

t.test('a house that restarts is waited for', async t => {
  const house = await fakeHouse(t, {
    [POST]: { ...ordered, transfers: [running] },
    [GET]: inTurn('gone', 'gone', [done(running)]),
  })
  const { code, out, err } = await run(t, ['models', 'pull', 'llama3.2'], house.env)
  t.equal(code, 0)
  t.equal(err, 'quipu: the house is away, waiting\nquipu: the house is back\n')
  t.match(out, /gpu-a: done\n$/)
})

t.test('for programs there is a JSON a line', async t => {
  const house = await fakeHouse(t, {
    [POST]: { ...ordered, transfers: [running] },
    [GET]: inTurn([running], [running], 'gone', [done(running)]),
  })
  const { out } = await run(t, ['models', 'pull', 'llama3.2', '--json'], house.env)
  const lines = out
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
  t.match(lines, [
    { state: 'running', node: 'gpu-a' },
    { house: 'away' },
    { house: 'back' },
    { state: 'completed', ms: 12_000 },
  ])
  t.equal(lines.length, 4)
})

t.test('Ctrl-C leaves the pull alone, and says how to see it and how to call it off', async t => {
  const house = await fakeHouse(t, { [POST]: { ...ordered, transfers: [running] }, [GET]: [running] })
  const verb = start(t, ['models', 'pull', 'llama3.2'], house.env)
  await verb.saw('gpu-a: ')
  verb.child.kill('SIGINT')
  const { code, err } = await verb.ended
  t.equal(code, 0)
  t.match(
    err,
    /the pull goes on; see: quipu models status llama3.2:latest; call it off: quipu models cancel llama3.2:latest/,
  )
  t.equal(
    house.asked.some(({ method }) => method === 'DELETE'),
    false,
  )
})

t.test('whoever does not wait is told that it is ordered', async t => {
  const house = await fakeHouse(t, { [POST]: pulled })
  const { code, out } = await run(t, ['models', 'pull', 'llama3.2', '--auto', '2', '--no-wait'], house.env)
  t.equal(code, 0)
  t.same(JSON.parse(house.asked[0]!.body), { model: 'llama3.2', auto: 2 })
  t.match(out, /gpu-a: ordered\ngpu-b: ordered\nsee: quipu models status/)
})

t.test('a transfer is called off on the nodes that are named, or on all', async t => {
  const gone = { ...waiting, state: 'cancelled' }
  const house = await fakeHouse(t, {
    [GET]: transfers,
    [`DELETE /quipu/transfers/${encodeURIComponent(waiting.id)}`]: gone,
  })
  const { code, out } = await run(t, ['models', 'cancel', 'llama3.2', '--nodes', 'gpu-b,gpu-c'], house.env)
  t.same([code, out], [0, 'gpu-b: called off\n'])
  const none = await run(t, ['models', 'cancel', 'llama3.2', '--nodes', 'gpu-c'], house.env)
  t.equal(none.code, 1)
})

t.test('what is watched is the transfer that was ordered, and not one of the same name from before', t => {
  const row = (state: string, orderedAt: number) => ({ ...running, state, orderedAt }) as never
  t.same(latest([row('waiting', 9)], [row('completed', 5)]), [row('waiting', 9)])
  t.same(latest([row('waiting', 9)], [row('completed', 9), row('completed', 5)]), [row('completed', 9)])
  t.end()
})

for (const [args, said] of [
  [['pull'], /models pull needs NAME/],
  [['pull', 'm', '--all', '--auto', '2'], /choose one/],
  [['pull', 'm', '--auto', '0'], /name at least one/],
  [['rm', 'm', '--all'], /--all does not go with models rm/],
  [['pul', 'm'], /did you mean pull\?/],
  [['pull', 'm', '--nodes', ','], /name at least one/],
] as const) {
  t.test(`quipu models ${args.join(' ')} is refused`, async t => {
    const { code, err } = await run(t, ['models', ...args])
    t.equal(code, 2)
    t.match(err, said)
  })
}
