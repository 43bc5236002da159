import { Doorway } from '@/views/signin/Doorway'

export function ResetPassword() {
  return <Doorway title="ResetPassword">{null}</Doorway>
}
