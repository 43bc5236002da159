// One version of a model: number, state, size, hash, creator, time, note, and its actions.

import { ActionIcon, Button, Menu, Text } from '@mantine/core'
import { IconArrowsDiff, IconDots, IconDownload, IconPencil, IconTrash } from '@tabler/icons-react'
import { useRef, useState } from 'react'
import { usePermissions } from '@/api/permissions'
import type { Model, ModelVersion } from '@/api/types'
import { Ago } from '@/components/Ago'
import { CopyButton } from '@/components/CopyButton'
import { describeModelSize } from '@/components/modelSize'
import { download } from '@/features/models/mutations'
import { isRefusedByScan } from '@/features/models/refusals'
import { activateWithUndo, deleteVersionWithUndo, runVersionAction } from '@/features/models/versions/actions'
import { VersionState } from '@/features/models/versions/VersionState'
import classes from '@/features/models/versions/versions.module.css'

const SHORT_HASH_LENGTH = 10

interface VersionRowProps {
  model: Model
  version: ModelVersion
  /** Opens the comparison with another version; undefined if there is no other one. */
  onCompare?: (() => void) | undefined
  onEditNote: () => void
  /** Opens the dialog in which an admin may allow a file that the pickle scan has refused. */
  onAllow: () => void
}

export function VersionRow({ model, version, onCompare, onEditNote, onAllow }: VersionRowProps) {
  return (
    <li className={classes.version} aria-label={`Version ${version.version}`}>
      <div className={classes.line}>
        <VersionFacts version={version} />
        <VersionActions
          model={model}
          version={version}
          onCompare={onCompare}
          onEditNote={onEditNote}
          onAllow={onAllow}
        />
      </div>
      <VersionText version={version} />
      {version.version === model.pending_version?.version && version.verification_error && (
        <Text size="sm" c="var(--mantine-color-error)">
          <bdi>{version.verification_error}</bdi>
        </Text>
      )}
    </li>
  )
}

/** Number, state and size. */
export function VersionFacts({ version }: { version: ModelVersion }) {
  return (
    <div className={classes.facts}>
      <span className={classes.number} data-current={version.version_status === 'current' || undefined}>
        v{version.version}
      </span>
      <VersionState version={version} />
      <span className={classes.dimmed}>{describeModelSize(version)}</span>
    </div>
  )
}

/** Note, creator, time and hash. */
export function VersionText({ version }: { version: ModelVersion }) {
  const { note, created_by: creator, created_at, file_hash } = version
  const digest = file_hash.split(':')[1] ?? file_hash
  return (
    <>
      {note && (
        <Text size="sm" style={{ whiteSpace: 'pre-wrap' }}>
          <bdi>{note}</bdi>
        </Text>
      )}
      <div className={`${classes.facts} ${classes.dimmed}`}>
        <span>
          <bdi>{creator.display_name}</bdi>
          {creator.kind === 'integration' && ' (a key)'}, <Ago time={created_at} />
        </span>
        <span className={classes.hash}>
          <code title={file_hash}>{digest.slice(0, SHORT_HASH_LENGTH)}</code>
          <CopyButton text={file_hash} what={`hash of version ${version.version}`} />
        </span>
      </div>
    </>
  )
}

function VersionActions({ model, version, onCompare, onEditNote, onAllow }: VersionRowProps) {
  const { may, mayChange } = usePermissions()
  const [isBusy, setBusy] = useState(false)
  const menuButton = useRef<HTMLButtonElement>(null)
  // A dialog returns the focus to what had it before, which must not be an item of the closed menu.
  const openDialog = (open: () => void) => () => {
    menuButton.current?.focus()
    open()
  }
  const attempt = async (action: () => Promise<void>) => {
    setBusy(true)
    await runVersionAction(action)
    setBusy(false)
  }
  const isShown = version.version === model.version
  const isVerified = version.verification === 'verified'
  const mayActivate = may('versions_activate') && mayChange(model)
  const actions = [
    onCompare && { word: 'Compare', icon: IconArrowsDiff, onClick: openDialog(onCompare) },
    isVerified &&
      !model.is_folder &&
      may('models_download') && {
        word: 'Download',
        icon: IconDownload,
        onClick: () => void attempt(() => download(model, version.version)),
      },
    mayChange(model) && { word: 'Edit note', icon: IconPencil, onClick: openDialog(onEditNote) },
    mayActivate &&
      !isShown && {
        word: 'Delete',
        icon: IconTrash,
        onClick: () => void attempt(() => deleteVersionWithUndo(model, version)),
      },
  ].filter((action) => typeof action === 'object')
  return (
    <div className={classes.actions}>
      {may('trusted_files_change') && isRefusedByScan(version) && (
        <Button
          variant="default"
          size="compact-sm"
          aria-label={`Allow the file of version ${version.version}`}
          onClick={onAllow}
        >
          Allow this file…
        </Button>
      )}
      {mayActivate && !isShown && isVerified && (
        <Button
          variant="default"
          size="compact-sm"
          loading={isBusy}
          aria-label={`Activate version ${version.version}`}
          onClick={() => void attempt(() => activateWithUndo(model, version))}
        >
          Activate
        </Button>
      )}
      {actions.length > 0 && (
        <Menu position="bottom-end">
          <Menu.Target>
            <ActionIcon
              ref={menuButton}
              variant="subtle"
              color="gray"
              disabled={isBusy}
              aria-label={`Actions for version ${version.version}`}
            >
              <IconDots size={18} />
            </ActionIcon>
          </Menu.Target>
          <Menu.Dropdown>
            {actions.map(({ word, icon: Icon, onClick }) => (
              <Menu.Item key={word} leftSection={<Icon size={16} aria-hidden />} onClick={onClick}>
                {word}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      )}
    </div>
  )
}
