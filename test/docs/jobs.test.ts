/** What docs/jobs.md tells receivers of callbacks to do is right: its code is run. */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { signature } from '../../src/callbacks/signature.ts'

const doc = readFileSync(join(import.meta.dirname, '../../docs/jobs.md'), 'utf8')
const [, section = ''] = doc.split('\n## Is it the house that calls?\n')
const snippet = (language: string): string => {
  const [, code = ''] = new RegExp(`\`\`\`${language}\n((?:.*\n)*?)\`\`\``).exec(section) ?? []
  return code
}

const BODY = '{"id":"j","reason":"ä"}'
const now = Date.now()
const good = signature('shh', BODY, now)
/** Whether the house has called: by header, body, secret. */
const cases: readonly (readonly [header: string, body: string, secret: string, ours: boolean])[] = [
  [good, BODY, 'shh', true],
  [good, `${BODY} `, 'shh', false],
  [good, BODY, 'psst', false],
  [good.replace(/.$/, last => (last === '0' ? '1' : '0')), BODY, 'shh', false],
  [signature('shh', BODY, now - 600_000), BODY, 'shh', false],
  [good.replace(/^t=\d+/, `t=${Math.floor(now / 1_000) - 1}`), BODY, 'shh', false],
  ['', BODY, 'shh', false],
]

t.test('the code for Node tells a call of the house from others', async t => {
  const { isFromHouse } = (await import(`data:text/javascript,${encodeURIComponent(snippet('js'))}`)) as {
    isFromHouse: (header: string, body: Buffer, secret: string) => boolean
  }
  for (const [header, body, secret, ours] of cases)
    t.equal(isFromHouse(header, Buffer.from(body), secret), ours, `${header} ${secret}`)
})

t.test('the code for Python does', async t => {
  if (spawnSync('python3', ['--version']).status !== 0) return t.comment('skipped: there is no python3 here')
  const call = 'import sys, json\nfor h, b, s in json.load(sys.stdin): print(is_from_house(h, b.encode(), s))'
  const input = JSON.stringify(cases.map(([header, body, secret]) => [header, body, secret]))
  const { stdout, stderr } = spawnSync('python3', ['-c', `${snippet('python')}\n${call}`], { input })
  t.equal(
    stdout.toString(),
    cases.map(([, , , ours]) => (ours ? 'True\n' : 'False\n')).join(''),
    stderr.toString(),
  )
})

t.test('the code for a shell does', async t => {
  if (spawnSync('openssl', ['version']).status !== 0) return t.comment('skipped: there is no openssl here')
  const file = join(t.testdir(), 'body')
  for (const [header, body, secret, ours] of cases) {
    writeFileSync(file, body)
    const env = { ...process.env, header, secret, file }
    const { status } = spawnSync('sh', ['-c', snippet('sh')], { env })
    t.equal(status === 0, ours, `${header} ${secret}`)
  }
})
