/** Docker cannot run here, so what can be read of its files is: by Compose itself where it is installed, and by rules. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { knobs, variableOf } from '../../src/config.ts'

const root = join(import.meta.dirname, '../..')
const read = (name: string): string => readFileSync(join(root, name), 'utf8')
const { version } = JSON.parse(read('package.json')) as { version: string }

t.test('Compose takes compose.yaml', async t => {
  const command = [['docker-compose'], ['docker', 'compose']].find(
    ([name = '', ...words]) => spawnSync(name, [...words, 'version']).status === 0,
  )
  if (command === undefined) {
    t.comment('skipped: neither docker-compose nor docker compose is on this machine')
    return
  }
  const [name = '', ...words] = command
  // The old docker-compose lists a profile's services even unasked, so that both are asked for all.
  const asked = ['-f', 'compose.yaml', '--profile', 'kafka', 'config', '--services']
  const told = spawnSync(name, [...words, ...asked], { cwd: root, encoding: 'utf8' })
  t.equal(told.status, 0, told.stderr)
  t.same(told.stdout.trim().split('\n').sort(), ['house', 'kafka', 'node-a', 'node-b'])
})

t.test('a house for this machine only, in front of two nodes that only it can reach', async t => {
  const { house, 'node-a': a, 'node-b': b, kafka } = services(read('compose.yaml'))
  t.match(house, `"127.0.0.1:${knobs.port.default}:${knobs.port.default}"`)
  t.match(house, `image: quipu:${version}`)
  t.match(house, 'journal:/data')
  t.match(house, variableOf(knobs.trust))
  t.match(house, variableOf(knobs.nodes))
  for (const [node, text] of [
    ['node-a', a],
    ['node-b', b],
  ] as const) {
    t.match(house, `http://${node}:11434,name=${node}`)
    t.match(text, '<<: *ollama')
    t.match(text, ':/root/.ollama')
    t.notMatch(text, 'ports:')
  }
  t.match(kafka, 'profiles: [kafka]')
  t.match(kafka, 'networks: [bus]')
  t.notMatch(kafka, 'ports:')
})

t.test('everything restarts, is looked after, and has a version', async t => {
  const text = read('compose.yaml')
  for (const [, image = ''] of text.matchAll(/^ +image: (.+)$/gm)) {
    t.match(image, /:(\$\{[A-Z_]+:-)?\d+(\.\d+)+\}?$/, `${image} names a version`)
  }
  t.equal(text.match(/restart: unless-stopped/g)?.length, 3, 'house, both nodes, Kafka')
  t.equal(text.match(/healthcheck:/g)?.length, 2, 'both nodes, Kafka; the house has its image’s')
})

t.test('the image builds from what it is sent, and runs as nobody in particular', async t => {
  const lines = instructions(read('Dockerfile'))
  const of = (word: string): string[] =>
    lines.filter(line => line.startsWith(`${word} `)).map(line => line.slice(word.length + 1))

  for (const image of of('FROM')) t.match(image, /^node:24(-slim)?( AS \w+)?$/, `${image} names a version`)
  t.notMatch(lines.join('\n'), ':latest')
  const [user] = of('USER').slice(-1)
  t.match(user, /^(?!root$|0$)\w+$/)
  t.ok(lines.indexOf(`USER ${user}`) > lines.lastIndexOf('FROM node:24-slim'), 'in the image that runs')
  t.same(of('EXPOSE'), [String(knobs.port.default)])
  t.same(of('VOLUME'), ['/data'])
  t.same(JSON.parse(of('ENTRYPOINT')[0] ?? ''), ['quipu', 'serve', '--host', '0.0.0.0', '--data', '/data'])
  const [health = ''] = of('HEALTHCHECK')
  t.match(health, '/healthz')
  t.same(JSON.parse(health.slice(health.indexOf('['))).slice(0, 2), ['node', '-e'], 'slim has no curl')

  const sent = read('.dockerignore')
  for (const copy of of('COPY').filter(words => !words.startsWith('--from'))) {
    for (const source of copy.split(' ').slice(0, -1)) {
      t.ok(existsSync(join(root, source)), `${source} is there`)
      t.match(sent, new RegExp(`^!${source.replaceAll('.', '\\.')}$`, 'm'), `${source} is sent`)
    }
  }
})

/** The text of each service, by its name. */
function services(text: string): Record<string, string> {
  const [, section = ''] = /^services:\n((?: .*\n|\n)+)/m.exec(text) ?? []
  return Object.fromEntries(
    section
      .split(/^ {2}(?=[\w-]+:$)/m)
      .slice(1)
      .map(block => [block.slice(0, block.indexOf(':')), block]),
  )
}

/** Without comments, each on a line of its own. */
function instructions(text: string): string[] {
  return text
    .replace(/^#.*\n/gm, '')
    .replace(/ *\\\n */g, ' ')
    .split('\n')
    .filter(line => line !== '')
}
