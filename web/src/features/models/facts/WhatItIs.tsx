// What a model is: what people say about it, and what its file declares.

import { Text } from '@mantine/core'
import type { Model } from '@/api/types'
import { formatCount, formatDateTime } from '@/components/format'
import { AnchorLink } from '@/components/links'
import { formatModelType } from '@/components/modelType'
import { Row, Rows, Section } from '@/features/models/details/Section'
import { BaseModel } from '@/features/models/facts/BaseModel'
import { AllMetadata, FileRows } from '@/features/models/facts/FileMetadata'
import classes from '@/features/models/facts/facts.module.css'
import { InCollections } from '@/features/models/facts/InCollections'
import { SourceRow } from '@/features/models/facts/SourceRow'
import { FACT_SOURCES, type FactSource } from '@/features/models/facts/sources'
import { AllTags } from '@/features/models/Tags'

export function WhatItIs({ model }: { model: Model }) {
  const { created_by: creator } = model
  return (
    <Section title="What it is">
      {model.description && (
        <Text size="sm" mb="xs" style={{ whiteSpace: 'pre-wrap' }}>
          <bdi>{model.description}</bdi>
        </Text>
      )}
      <Rows>
        <Row name="Type">
          <bdi title={model.model_type}>{formatModelType(model.model_type)}</bdi>
        </Row>
        <Row name="Base model">
          <BaseModel model={model} />
        </Row>
        <TrainingRows details={model.details} />
        <SourcedFact name="Author" text={model.author} source={model.author_source} />
        <SourcedFact name="Licence" text={model.license} source={model.license_source} />
        {model.source_url && <SourceRow model={model} url={model.source_url} />}
        {model.hub_file && (
          <Fact name="Hugging Face name" text={`${model.hub_file.repository} ${model.hub_file.path}`.trimEnd()} />
        )}
        {model.tags.length > 0 && (
          <Row name="Tags">
            <AllTags tags={model.tags} />
          </Row>
        )}
        {model.required_labels.length > 0 && (
          <Row name="Required labels">
            <AllTags tags={model.required_labels} />
          </Row>
        )}
        <InCollections model={model} />
        <FileRows metadata={model.metadata} />
        {model.derived_from && (
          <Row name="Converted from">
            <AnchorLink to="/models/$id" params={{ id: model.derived_from.model_id }} search={{}} size="sm">
              a pickle file
            </AnchorLink>
            , version {model.derived_from.version}
          </Row>
        )}
        <Row name="Registered">
          {formatDateTime(model.created_at)} by <bdi>{creator.display_name}</bdi>
          {creator.kind === 'integration' && ' (a key)'}
        </Row>
        <Row name="Changed">{formatDateTime(model.updated_at)}</Row>
        {model.last_used_at && <Row name="Last used">{formatDateTime(model.last_used_at)}</Row>}
      </Rows>
      <AllMetadata metadata={model.metadata} />
    </Section>
  )
}

/** What the trainer recorded in the file. */
function TrainingRows({ details }: { details: Model['details'] }) {
  const { network, rank, alpha, resolution, trainer, steps, image_count: images } = details
  const size = [network, rank && `rank ${rank}`, alpha && `alpha ${alpha}`].filter(Boolean).join(', ')
  const work = [steps && formatCount(steps, 'step'), images && formatCount(images, 'picture')]
    .filter(Boolean)
    .join(', ')
  return (
    <>
      {size && <Fact name="Network" text={size} />}
      {resolution && <Fact name="Resolution" text={resolution.replace(/^(\d+)\s*x\s*(\d+)$/i, '$1 × $2')} />}
      {(trainer || work) && <Fact name="Trained" text={trainer || work} detail={trainer ? work : ''} />}
    </>
  )
}

interface SourcedFactProps {
  name: string
  text: string | null | undefined
  source: FactSource | null | undefined
}

/** A text with where it comes from; no row if it is unknown. */
function SourcedFact({ name, text, source }: SourcedFactProps) {
  return text ? <Fact name={name} text={text} detail={source ? FACT_SOURCES[source] : ''} /> : null
}

function Fact({ name, text, detail = '' }: { name: string; text: string; detail?: string }) {
  return (
    <Row name={name}>
      <bdi>{text}</bdi>
      {detail && <small className={classes.small}>{detail}</small>}
    </Row>
  )
}
