// Backed up to an account of another subscription.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param backupAccountId = '/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/backups/providers/Microsoft.Storage/storageAccounts/hospitalbackup'
param backupRetentionDays = 90
