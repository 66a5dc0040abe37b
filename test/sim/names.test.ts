import t from 'tap'
import {
  displayName,
  fullName,
  isValid,
  nameKey,
  parseName,
  parsePullName,
  parseRef,
} from '../../src/sim/names.ts'

t.test('a name is filled up with defaults and shown without them', async t => {
  const table: [sent: string, full: string, shown: string][] = [
    ['tiny', 'registry.ollama.ai/library/tiny:latest', 'tiny:latest'],
    ['tiny:8b', 'registry.ollama.ai/library/tiny:8b', 'tiny:8b'],
    ['me/tiny', 'registry.ollama.ai/me/tiny:latest', 'me/tiny:latest'],
    ['gw:1234/me/tiny:8b', 'gw:1234/me/tiny:8b', 'gw:1234/me/tiny:8b'],
    ['gw/library/tiny', 'gw/library/tiny:latest', 'gw/library/tiny:latest'],
    ['https://gw:1234/me/tiny', 'gw:1234/me/tiny:latest', 'gw:1234/me/tiny:latest'],
    ['Registry.Ollama.ai/Library/Tiny', 'Registry.Ollama.ai/Library/Tiny:latest', 'Tiny:latest'],
    ['TINY', 'registry.ollama.ai/library/TINY:latest', 'TINY:latest'],
  ]
  for (const [sent, full, shown] of table) {
    const name = parseName(sent)
    t.ok(isValid(name), sent)
    t.equal(fullName(name), full)
    t.equal(displayName(name), shown)
  }
})

t.test('names that a node refuses', async t => {
  const refused = [
    '', 'a b', '-x', ':tag', 'x:', '/x', 'x/', 'a/b/c/d', 'host:1234/x', 'na.me/x', 'x@sha256:00', 'é',
    'http://x', `${'m'.repeat(81)}`, `x:${'t'.repeat(81)}`, 'x:a:b', '.x', 'a//b',
  ] // biome-ignore format: a list
  for (const sent of refused) t.notOk(isValid(parseName(sent)), JSON.stringify(sent))
  t.ok(isValid(parseName('m'.repeat(80))))
  t.ok(isValid(parseName('_x.y-z:_0.1')))
})

t.test('letter case makes no difference', async t => {
  t.equal(nameKey(parseName('TiNy:8B')), nameKey(parseName('registry.ollama.ai/library/tiny:8b')))
})

t.test('a last part of cloud or local says where a model runs', async t => {
  const table: [sent: string, source: string, base: string][] = [
    ['x', 'any', 'x'],
    [' x ', 'any', 'x'],
    ['x:cloud', 'cloud', 'x'],
    ['x:20b-cloud', 'cloud', 'x:20b'],
    ['x:20b:cloud', 'cloud', 'x:20b'],
    ['x:20b:LOCAL', 'local', 'x:20b'],
    ['x-cloud', 'any', 'x-cloud'],
  ]
  for (const [sent, source, base] of table) t.match(parseRef(sent), { source, base }, sent)
  t.equal(parseRef(''), 'required')
  t.equal(parseRef('x:cloud:local'), 'conflict')
  t.equal(parseRef('a b'), 'invalid')
})

t.test('a cloud model is pulled and deleted under its old name', async t => {
  for (const [sent, pulled] of [
    ['x:cloud', 'x:cloud'],
    ['x:20b:cloud', 'x:20b-cloud'],
    ['x:20b-cloud', 'x:20b-cloud'],
  ])
    t.equal(displayName(parsePullName(sent!) as any), pulled)
})
