/** Every knob, what it is set to, and who set it. */
import t from 'tap'
import { run } from './terminal.ts'

t.test('config lists every knob with its value and where that comes from', async t => {
  const args = [
    'config',
    '--host',
    '0.0.0.0:4000',
    '--node',
    'gpu-a,slots=4,label.room=attic',
    '--wait-max',
    '90s',
  ]
  const { code, out } = await run(t, args, {
    QUIPU_QUEUE_MAX: '64',
    QUIPU_BODY_MAX: '1536',
    QUIPU_CLOUD: 'on',
  })
  t.equal(code, 0)
  t.matchSnapshot(out)
})

t.test('a port inside the host comes from whoever gave the host', async t => {
  const { out } = await run(t, ['config', '--json'], { QUIPU_HOST: '[::1]:4000' })
  const rows = JSON.parse(out) as { name: string; value: unknown; source: string; variable: string }[]
  const row = (name: string) => rows.find(each => each.name === name)
  t.match(row('host'), { value: '::1', source: 'env', variable: 'QUIPU_HOST' })
  t.match(row('port'), { value: 4000, source: 'env' })
  t.match(row('data'), { value: './data', source: 'default' })
  t.match(row('ollamaHost'), { value: '127.0.0.1:1', source: 'env', variable: 'OLLAMA_HOST' })
})

t.test('a value that makes no sense is named, with what would', async t => {
  const { code, out, err } = await run(t, ['config'], { QUIPU_WAIT_MAX: 'forever' })
  t.equal(code, 1)
  t.equal(out, '')
  t.match(err, /^quipu: QUIPU_WAIT_MAX: "forever" is not a duration such as 250ms/)
})
