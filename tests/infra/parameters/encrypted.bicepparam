// Encrypted twice, with a key of the hospital.
using '../../../infra/main.bicep'

param environmentName = 'prod'
param location = 'westeurope'
param audience = 'api://11111111-2222-3333-4444-555555555555'
param infrastructureEncryption = true
param encryptionKeyUrl = 'https://hospital.vault.azure.net/keys/archive'
param encryptionKeyIdentityId = '/subscriptions/33333333-3333-3333-3333-333333333333/resourceGroups/keys/providers/Microsoft.ManagedIdentity/userAssignedIdentities/archive'
