import { createHmac } from 'node:crypto'
import t from 'tap'
import { signature } from '../../src/callbacks/signature.ts'

t.test('a signature is over the second and the body', async t => {
  const text = signature('shh', '{"id":"j"}', 1_700_000_000_999)
  const hex = createHmac('sha256', 'shh').update('1700000000.{"id":"j"}').digest('hex')
  t.equal(text, `t=1700000000,v1=${hex}`)
  t.not(signature('shh', '{"id":"j"}', 1_700_000_001_000), text)
  t.not(signature('psst', '{"id":"j"}', 1_700_000_000_999), text)
})
