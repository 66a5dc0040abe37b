/** The table of verbs: help, versions, and what is said to those who type wrongly. */
import t from 'tap'
import { run } from './terminal.ts'

const VERBS = [
  'serve',
  'sim',
  'nodes',
  'models',
  'policy',
  'ps',
  'top',
  'queue',
  'jobs',
  'requests',
  'explain',
  'stats',
  'events',
  'subscriptions',
  'journal',
  'audit',
  'doctor',
  'simulate',
  'backtest',
  'config',
  'version',
]

const versionless = (text: string): string => text.replace(/Quipu \d\S*:/, 'Quipu VERSION:')

t.test('without a verb it says what there is', async t => {
  const { code, out, err } = await run(t, [])
  t.equal(code, 0)
  t.equal(err, '')
  t.matchSnapshot(versionless(out))
  for (const verb of VERBS) t.match(out, new RegExp(`^  ${verb} `, 'm'))
  for (const args of [['--help'], ['-h'], ['help']]) t.same(await run(t, args), { code, out, err })
})

for (const verb of VERBS) {
  t.test(`${verb} --help says everything ${verb} takes`, async t => {
    const { code, out, err } = await run(t, [verb, '--help'])
    t.equal(code, 0)
    t.equal(err, '')
    t.matchSnapshot(out)
  })
}

t.test('help VERB is VERB --help, whatever else stands there', async t => {
  const { out } = await run(t, ['queue', '--help'])
  t.equal((await run(t, ['help', 'queue'])).out, out)
  t.equal((await run(t, ['queue', '--port', 'what', '-h'])).out, out)
})

t.test('a verb that does not exist is exit code 2, and the nearest one is named', async t => {
  const near = await run(t, ['serv'])
  t.same(near, {
    code: 2,
    out: '',
    err: 'quipu: there is no verb "serv"; did you mean `quipu serve`?\nsee: quipu --help\n',
  })
  t.match(await run(t, ['frobnicate']), { code: 2, err: /no verb "frobnicate"\nsee: quipu --help\n$/ })
  t.match(await run(t, ['constructor']), { code: 2, err: /no verb "constructor"/ })
})

t.test('an option that does not exist is exit code 2, and the nearest one is named', async t => {
  t.match(await run(t, ['ps', '--prot', '3']), {
    code: 2,
    err: /no option --prot; did you mean --port\?\nsee: quipu ps --help\n$/,
  })
  t.match(await run(t, ['ps', '-x']), { code: 2, err: /no option -x\n/ })
})

const MISUSES: readonly (readonly [string, RegExp])[] = [
  ['ps now', /"now" is one word too many/],
  ['ps --port', /--port/],
  ['queue --limit many', /--limit: "many" is not a whole number/],
  ['requests --state fialed', /did you mean failed\?/],
  ['events --kind weather', /known are node, breaker/],
  ['explain', /the id of a request, or last/],
  ['nodes drain', /nodes drain needs NAME/],
  ['nodes drian x', /did you mean drain\?/],
  ['nodes ls x', /"x" is one word too many/],
  ['nodes ls --slots 4', /--slots goes with nodes add/],
  ['nodes add x,y=1', /is not one of name=.*weight=….*hours=…/],
  ['nodes add x --weight 0', /--weight: "0" is not a weight/],
  ['nodes add x,hours=18-8', /nodes add: "18-8" is not hours such as 18:00-08:00/],
  ['nodes show', /nodes show needs NAME/],
  ['policy shwo tiny', /did you mean show\?/],
  ['policy set tiny', /policy set needs MODEL KEY=VALUE/],
  ['policy ls tiny', /"tiny" is one word too many/],
  ['jobs submit', /jobs submit needs FILE/],
  ['jobs shwo x', /did you mean show\?/],
  ['jobs ls x', /"x" is one word too many/],
  ['jobs show x --path y', /--path goes with jobs submit/],
  ['jobs cancel x --client y', /--client goes with jobs ls and submit/],
  ['jobs result x --json', /prints the answer as it came/],
  ['nodes add x --label y', /is not KEY=VALUE/],
  ['audit --expect 7', /is not a head/],
  ['sim --speed fast', /--speed: "fast" is not a number/],
  ['sim --nodes 0', /there must be at least one/],
  ['config sett queue-max 1', /did you mean set\?/],
  ['config set queue-max', /config set needs NAME VALUE/],
  ['config get a b', /"b" is one word too many/],
  ['config rollback then', /"then" is not the seq of a fact/],
  ['config set queue-max 1 --wait-max 2s', /--wait-max goes with config alone/],
  ['config --limit 2', /--limit goes with config history/],
  ['stats request-stats', /did you mean request_stats\?/],
  ['stats weather', /there are servers, models,/],
  ['stats servers --by day', /--by does not go with servers/],
  ['stats request_stats --by month', /--by: there is no by "month"; known are hour, day, week/],
  ['journal --limit 0', /at least 1, or all/],
]

t.test('a word too many, one too few and a value that makes no sense are exit code 2', async t => {
  for (const [line, said] of MISUSES) {
    const { code, out, err } = await run(t, line.split(' '))
    t.same({ code, out }, { code: 2, out: '' }, line)
    t.match(err, said)
    t.ok(err.endsWith(`\nsee: quipu ${line.split(' ')[0]} --help\n`))
  }
})

t.test('version says which Quipu, on which Node', async t => {
  const { code, out } = await run(t, ['version'])
  t.equal(code, 0)
  t.match(out, /^quipu \d+\.\d+\.\d+\nnode {2}\d+\.\d+\.\d+ \(\w+ \w+\)\n$/)
  t.equal((await run(t, ['--version'])).out, out)
  const { quipu, node } = JSON.parse((await run(t, ['version', '--json'])).out)
  t.match(out, `quipu ${quipu}\nnode  ${node} `)
})
