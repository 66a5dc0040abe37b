import t from 'tap'
import { meterLine } from '../../src/cli/meter.ts'

t.test('a meter says how far, how quick, and how long still', async t => {
  t.equal(meterLine(0, 2_000_000, 0), '░░░░░░░░░░░░░░░░░░░░░░░░   0 %  0 of 2,000,000 facts')
  t.equal(
    meterLine(1_000_000, 2_000_000, 2_500),
    '████████████░░░░░░░░░░░░  50 %  1,000,000 of 2,000,000 facts, 400,000 a second, 2.5 s left',
  )
  t.match(meterLine(7, 7, 100), /^█{24} 100 % {2}7 of 7 facts, 70 a second, 0 ms left$/)
  t.match(meterLine(9, 7, 100), /^█{24} 100 %/)
  t.match(meterLine(0, 0, 0), /^█{24} 100 %/)
})
