import t from 'tap'
import { optionsOf, variantOf } from '../../machines/variant.ts'

t.test('a variant is the options that make Ollama load anew, in one word', async t => {
  t.equal(variantOf({ num_ctx: 8192, temperature: 1, num_batch: 512 }), 'num_batch=512,num_ctx=8192')
  t.equal(variantOf({ use_mmap: false }), 'use_mmap=false')
  t.equal(variantOf({ num_gpu: -1 }), '', 'as many layers as fit is what it does anyway')
  t.equal(variantOf({ num_ctx: '8192', num_batch: 1.5, use_mmap: 1 }), '', 'for the node to refuse')
  t.equal(variantOf(), '')
})

t.test('and back', async t => {
  for (const options of [{}, { num_ctx: 1 }, { main_gpu: 1, num_gpu: 0, use_mmap: true }])
    t.same(optionsOf(variantOf(options)), options)
})
