import t from 'tap'
import { canonicalName, displayName, parseName, sourceOf } from '../../machines/name.ts'

t.test('names are read as Ollama reads them', async t => {
  const cases: Record<string, string | undefined> = {
    tiny: 'tiny:latest',
    'TINY:Q4': 'tiny:q4',
    'ns/x:t': 'ns/x:t',
    'library/x': 'x:latest',
    'registry.ollama.ai/library/x:latest': 'x:latest',
    'https://registry.ollama.ai/library/x': 'x:latest',
    'registry.ollama.ai/ns/x': 'ns/x:latest',
    'host:5000/library/x': 'host:5000/library/x:latest',
    'hf.co/org/repo:Q8_0': 'hf.co/org/repo:q8_0',
    'host:5000/x': undefined,
    'a b': undefined,
    '-x': undefined,
    '': undefined,
    ':tag': undefined,
    'x:': undefined,
    '/x': undefined,
    'x@sha256:abc': undefined,
    'a/b/c/d': undefined,
    'n.s/x': undefined,
    ['m'.repeat(81)]: undefined,
  }
  for (const [text, expected] of Object.entries(cases)) t.equal(canonicalName(text), expected, text)
})

t.test('the form people see keeps the case', async t => {
  t.equal(displayName(parseName('NS/Big')!), 'NS/Big:latest')
})

t.test('a suffix says where it runs', async t => {
  t.same(sourceOf('x:cloud'), { source: 'cloud', name: 'x:cloud' })
  t.same(sourceOf('x:20b-cloud'), { source: 'cloud', name: 'x:20b-cloud' })
  t.same(sourceOf('x:20b:cloud'), { source: 'cloud', name: 'x:20b:cloud' })
  t.same(sourceOf('x:local'), { source: 'local', name: 'x' })
  t.same(sourceOf('x:20b:local'), { source: 'local', name: 'x:20b' })
  t.same(sourceOf('x:cloud:local').source, 'both')
  t.same(sourceOf('x:latest'), { source: 'any', name: 'x:latest' })
  t.same(sourceOf('x-cloud'), { source: 'any', name: 'x-cloud' })
  t.same(sourceOf('cloud'), { source: 'any', name: 'cloud' })
})
