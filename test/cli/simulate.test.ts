/** `quipu simulate`: one command gives figures, the same ones again, and a picture. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { run } from './terminal.ts'

const SMALL = ['simulate', '--requests', '200', '--fleet', 'preset:C']

t.test('a table tells of every policy that was asked for', async t => {
  const { code, out, err } = await run(t, [...SMALL, '--policy', 'all', '--seeds', '2'])
  t.equal(code, 0)
  t.match(
    out,
    /^C, 4 models on 5 equal nodes, 1 in memory: 200 requests \(synthetic\) in .*; medians of 2 seeds\n/,
  )
  for (const policy of [
    'quipu',
    'round-robin',
    'least-connections',
    'power-of-two',
    'least-tokens',
    'warm-first',
    'eta',
  ]) {
    t.match(out, new RegExp(`^${policy} +[\\d.,]+ `, 'm'))
  }
  t.match(out, /^least-connections .* 1\.00 × +1\.00 ×$/m)
  t.match(err, /times faster than life\n$/)
})

t.test('the same seed gives the same bytes, and another seed others', async t => {
  const [first, again, other] = await Promise.all([
    run(t, [...SMALL, '--json', '--seed', '7']),
    run(t, [...SMALL, '--json', '--seed', '7']),
    run(t, [...SMALL, '--json', '--seed', '8']),
  ])
  t.equal(first.code, 0)
  t.equal(again.out, first.out)
  t.not(other.out, first.out)
  t.match(JSON.parse(first.out), {
    fleet: 'C, 4 models on 5 equal nodes, 1 in memory',
    requests: 200,
    utilisation: 0.5,
    seeds: [7],
    policies: [
      { policy: 'quipu', wait: { p50: Number }, loads: Number, unfinished: 0, seeds: [{ seed: 7 }] },
      { policy: 'least-connections', versusLeastConnections: { totalP95: 1, loads: 1 } },
    ],
  })
})

t.test("a trace and a fleet of one's own, and a picture of it", async t => {
  const dir = t.testdir({
    'trace.csv':
      'TIMESTAMP,ContextTokens,GeneratedTokens,Model,Client\n0,100,40,m,c\n1.5,100,40,n,d\n2,100,40,m,c\n',
    'fleet.yaml': 'models: [{ name: m }, { name: n }]\nnodes: [{ name: a, count: 2, resident: 1 }]\n',
  })
  const svg = join(dir, 'picture.svg')
  const files = ['--trace', join(dir, 'trace.csv'), '--fleet', join(dir, 'fleet.yaml')]
  const { code, out } = await run(t, ['simulate', ...files, '--svg', svg, '--svg-span', '20s'])
  t.equal(code, 0)
  t.match(out, /^fleet\.yaml: 3 requests \(trace\.csv\) in 2\.0 s, /)
  const drawn = readFileSync(svg, 'utf8')
  for (const said of ['fleet.yaml', 'quipu', 'least-connections', 'a-1', 'a-2', 'm', 'n'])
    t.match(drawn, `>${said}</text>`)
  writeFileSync(join(dir, 'fleet.yaml'), 'models: [{ name: m }]\nnodes: [{ name: a }]\n')
  t.match(await run(t, ['simulate', ...files]), {
    code: 1,
    err: /^quipu: requests ask for n:latest, and no node/,
  })
  writeFileSync(join(dir, 'fleet.yaml'), 'models: [{ name: m }]\nnodes: [{ name: a, slot: 1 }]\n')
  t.match(await run(t, ['simulate', ...files]), { code: 1, err: /nodes\[0\]: there is no "slot"; known are/ })
})

t.test('what cannot be is said before anything runs', async t => {
  const wrong: readonly (readonly [args: string, code: number, said: RegExp])[] = [
    ['--fleet preset:E', 2, /no preset "E"; known are A, B, C, D/],
    ['--policy fastest', 2, /no policy "fastest"; known are quipu/],
    ['--policy least-conections', 2, /did you mean least-connections\?/],
    ['--models 9', 2, /the fleet has 4 models; ask for 1 to 4/],
    ['--seeds 0', 2, /--seeds: at least 1/],
    ['--clients 0', 2, /--clients: at least 1/],
    ['--utilisation much', 2, /neither a number above 0, such as 0\.5, nor trace/],
    ['--patience soon', 2, /--patience: "soon" is not a duration/],
    ['--trace a.csv --synthetic rate=1', 2, /give one of them/],
    ['--synthetic speed=1', 1, /there is no "speed"; known are requests/],
    ['--trace no-such.csv', 1, /--trace: ENOENT/],
    ['--fleet preset-C', 1, /--fleet: ENOENT.*a preset is named as in preset:C/],
    ['--requests 3 --svg no/such/folder.svg', 1, /--svg: ENOENT/],
  ]
  for (const [args, code, said] of wrong) {
    t.match(await run(t, ['simulate', ...args.split(' ')]), { code, out: '', err: said }, args)
  }
  t.notOk(existsSync('no'))
})
