import t from 'tap'
import { murmur2, partitionOf } from '../../src/mirror/partition.ts'

t.test('keys go where Kafka’s own clients would send them', async t => {
  // From Kafka's own tests of its hash (UtilsTest.testMurmur2).
  const known = {
    '21': -973_932_308,
    foobar: -790_332_482,
    'a-little-bit-long-string': -985_981_536,
    'a-little-bit-longer-string': -1_486_304_829,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58_897_971,
    abc: 479_470_107,
  }
  for (const [key, hash] of Object.entries(known)) t.equal(murmur2(Buffer.from(key)), hash, key)
  t.equal(partitionOf('foobar', 7), (-790_332_482 & 0x7fffffff) % 7)
  t.equal(partitionOf('abc', 1), 0)
})
