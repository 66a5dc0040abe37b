/** Which models can be asked for, and what are they? */
import type { ModelData } from '../../machines/model.ts'
import { projection } from './projection.ts'

export type Catalog = ReturnType<typeof catalog>

export const catalog = () =>
  projection(new Map<string, ModelData>(), {
    'model.found': (models, { id, data }) => void models.set(id, data),
    'model.gone': (models, { id }) => void models.delete(id),
  })
